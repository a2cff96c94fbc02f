/* initfs://: the tree, served read-only. docs/services.md says what each operation answers. */
#pragma once

#include "bootstrap/tree.h"

/* Serves the tree on the port with this many threads; returns only when the port fails: -E_*. */
int64_t initfs_serve(const struct tree *tree, handle_t port, unsigned threads);
