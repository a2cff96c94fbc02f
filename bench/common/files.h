/* What the benchmarks of files do, wherever these lie.
 *
 *     files_use("/mnt")     before anything else: where
 *     files_data()          DATA_SIZE bytes lie in it, in the file "data"
 */
#pragma once

#include <stdint.h>

#define DATA_SIZE (1 << 20)
#define PIECE     (64 << 10)
#define NEW_SIZE  100 /* bytes of each file that is made */
#define NEW_MAX   1000

void files_use(const char *place);
void files_data(void);
void files_new(void); /* prepares create and remove */

/* Operations, and rounds of them. */
void file_open_close(void);
void file_stat(void);

void file_open_data(void); /* prepare; finish: file_close */
void file_close(void);
void file_read_page(void);
void file_read_all(void);
void file_write_all(void);

uint64_t files_create(uint64_t count);
uint64_t files_remove(uint64_t count);

/* The file `path` of so many bytes, from its start to its end, in pieces. */
void file_make(const char *path, uint64_t size);
void file_read_through(int file, uint64_t size);
void file_write_through(int file, uint64_t size);
