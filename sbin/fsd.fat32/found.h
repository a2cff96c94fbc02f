/* Paths that were found lately: most are asked for again.
 *
 *     file = found_file(path, length)            a regular file with that path; NULL: look for it
 *     found_enter_file(path, length, file)       it was found
 *     found_directory, found_enter_directory     likewise of a directory, its path with the last slash
 *     found_forget_files()                       a name was taken away, or a struct file goes
 *     found_forget_all()                         a directory has moved or gone, or nobody may have a node of the library's
 *
 * Files are known without a reference, until anything is forgotten; of directories, which are few, there is one. New names change
 * nothing that was found.
 */
#pragma once

#include "sbin/fsd.fat32/file.h"

struct file *found_file(const char *path, size_t length);
void found_enter_file(const char *path, size_t length, struct file *file);
/* Not a reference. */
struct fat_node *found_directory(const char *path, size_t length);
void found_enter_directory(const char *path, size_t length, struct fat_node *node);
void found_forget_files(void);
void found_forget_all(void);
