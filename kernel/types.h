/* What the table of object types (object.c) and the dispatcher (syscall.c) need of every type: its `closed`,
 * `destroy` and `held`, and the way from the object to it. Implemented beside each type. */
#pragma once

#include "kernel/object.h"

void memory_destroy(struct object *object);
void process_closed(struct object *object);
void process_destroy(struct object *object);
bool process_held(struct object *object, uint64_t *position, object_visitor *visit);
void thread_closed(struct object *object);
void thread_destroy(struct object *object);
bool thread_held(struct object *object, uint64_t *position, object_visitor *visit);
void port_closed(struct object *object);
void port_destroy(struct object *object);
bool port_held(struct object *object, uint64_t *position, object_visitor *visit);
void file_closed(struct object *object);
void file_destroy(struct object *object);
void namespace_destroy(struct object *object);
bool namespace_held(struct object *object, uint64_t *position, object_visitor *visit);
void stream_closed(struct object *object);
void stream_destroy(struct object *object);
bool stream_held(struct object *object, uint64_t *position, object_visitor *visit);
void listener_closed(struct object *object);
void listener_destroy(struct object *object);
bool listener_held(struct object *object, uint64_t *position, object_visitor *visit);
void timer_object_closed(struct object *object);
void timer_object_destroy(struct object *object);
void resource_destroy(struct object *object);
void irq_closed(struct object *object);
void irq_destroy(struct object *object);
