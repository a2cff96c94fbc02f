/* Building the tree from the archive's entries. */
#include "bootstrap/tree.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errors.h"
#include "bootstrap/index.h"
#include "lib/base/tar.h"

static const char no_memory[] = "no memory for the file tree";

/* A component of a path. */
struct component {
    const char *name;
    size_t length;
    uint64_t hash; /* FNV-1a */
};

#define HASH_START UINT64_C(0xcbf29ce484222325)
#define HASH_PRIME UINT64_C(0x100000001b3)

static int name_compare(const struct node *node, const struct component *wanted)
{
    int order = memcmp(node->name, wanted->name, MIN(node->name_length, wanted->length));
    if (order)
        return order;
    return node->name_length < wanted->length ? -1 : node->name_length > wanted->length;
}

/* The index of the child, or of where it would be inserted (*found tells). */
static uint32_t child_find(const struct node *directory, const struct component *wanted,
                           bool *found)
{
    uint32_t low = 0, high = directory->child_count;
    *found = false;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct node *node = directory->children[middle];
        if (node->hash == wanted->hash) {
            int order = name_compare(node, wanted);
            if (order == 0) {
                *found = true;
                return middle;
            }
            if (order < 0)
                low = middle + 1;
            else
                high = middle;
        } else if (node->hash < wanted->hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool children_reserve(struct node *directory)
{
    if (directory->child_count < directory->child_room)
        return true;
    uint32_t room = directory->child_room ? directory->child_room * 2 : 8;
    struct node **children = realloc(directory->children, room * sizeof(*children));
    if (!children)
        return false;
    directory->children = children;
    directory->child_room = room;
    return true;
}

static bool nodes_reserve(struct tree *tree)
{
    if (tree->count < tree->room)
        return true;
    size_t room = tree->room ? tree->room * 2 : 512;
    struct node **nodes = realloc(tree->nodes, room * sizeof(*nodes));
    if (!nodes)
        return false;
    tree->nodes = nodes;
    tree->room = room;
    return true;
}

/* parent NULL: the root. */
static struct node *node_create(struct tree *tree, const struct node *parent,
                                const struct component *named)
{
    size_t above = parent && parent->parent != parent ? parent->path_length : 0;
    struct node *node = calloc(1, sizeof(*node));
    char *path = malloc(above + 1 + named->length + 1);
    if (!node || !path || !nodes_reserve(tree)) {
        free(node);
        free(path);
        return NULL;
    }
    if (above)
        memcpy(path, parent->path, above);
    path[above] = '/';
    memcpy(path + above + 1, named->name, named->length);
    path[above + 1 + named->length] = '\0';
    node->path = path;
    node->path_length = above + 1 + named->length;
    node->name = path + above + 1;
    node->name_length = named->length;
    node->hash = named->hash;
    node->memory = HANDLE_NONE;
    node->type = FILE_DIRECTORY;
    node->mode = 0755;
    tree->nodes[tree->count++] = node;
    node->inode = tree->count;
    return node;
}

/* The child of that name, made (as a directory) where there is none. */
static struct node *child_get(struct tree *tree, struct node *directory,
                              const struct component *named)
{
    bool found;
    uint32_t index = child_find(directory, named, &found);
    if (found)
        return directory->children[index];
    struct node *node = node_create(tree, directory, named);
    if (!node || !children_reserve(directory))
        return NULL;
    memmove(directory->children + index + 1, directory->children + index,
            (directory->child_count - index) * sizeof(*directory->children));
    directory->children[index] = node;
    directory->child_count++;
    node->parent = directory;
    return node;
}

/* The next component of path; *at moves behind it. False at the end. */
static bool component_next(const char *path, size_t length, size_t *at, struct component *component)
{
    size_t end = *at;
    uint64_t hash = HASH_START;
    while (end < length && path[end] == '/')
        end++;
    component->name = path + end;
    for (; end < length && path[end] != '/'; end++)
        hash = (hash ^ (uint8_t)path[end]) * HASH_PRIME;
    component->length = (size_t)(path + end - component->name);
    component->hash = hash;
    *at = end;
    return component->length > 0;
}

static bool component_is_dot(const struct component *component)
{
    return component->length == 1 && component->name[0] == '.';
}

static bool component_is_dots(const struct component *component)
{
    return component->length == 2 && component->name[0] == '.' && component->name[1] == '.';
}

static const char *place_make(struct tree *tree, const char *path, size_t length,
                              struct node **place)
{
    size_t at = 0;
    struct component component;
    struct node *node = tree->root;
    while (component_next(path, length, &at, &component)) {
        if (component_is_dot(&component))
            continue;
        if (component_is_dots(&component) || memchr(component.name, '\0', component.length))
            return "the archive holds an impossible name";
        if (node->type != FILE_DIRECTORY)
            return "the archive holds a file inside a file";
        node = child_get(tree, node, &component);
        if (!node)
            return no_memory;
    }
    *place = node;
    return NULL;
}

static const char *file_fill(struct tree *tree, struct node *node, const struct tar_entry *entry)
{
    node->type = FILE_REGULAR;
    node->size = entry->size;
    node->data = NULL;
    node->memory = HANDLE_NONE;
    if (entry->size == 0)
        return NULL;
    struct content *content = calloc(1, sizeof(*content));
    if (!content || content_create(entry->size, &content->data, &content->memory) < 0) {
        free(content);
        return "no memory for the files";
    }
    content->size = entry->size;
    content->next = tree->contents;
    tree->contents = content;
    memcpy(content->data, entry->data, entry->size);
    content_seal(content->data, entry->size);
    node->data = content->data;
    node->memory = content->memory;
    tree->bytes += entry->size;
    return NULL;
}

static const char *link_fill(struct node *node, const struct tar_entry *entry)
{
    char *target = malloc(entry->link_length + 1);
    if (!target)
        return no_memory;
    memcpy(target, entry->link, entry->link_length);
    target[entry->link_length] = '\0';
    free(node->target);
    node->type = FILE_LINK;
    node->mode = 0777;
    node->size = strlen(target);
    node->target = target;
    return NULL;
}

/* A hard link shows the same bytes: the archive cannot change, so nothing else is shared. */
static const char *hard_link_fill(struct tree *tree, struct node *node,
                                  const struct tar_entry *entry)
{
    struct walk walk;
    int64_t result = tree_walk(tree, entry->link, entry->link_length, 0, &walk);
    if (result == -E_LINK)
        free(walk.link);
    if (result < 0 || walk.node->type == FILE_DIRECTORY || walk.node == node)
        return "the archive holds a hard link to nothing";
    char *target = walk.node->target ? strdup(walk.node->target) : NULL;
    if (walk.node->target && !target)
        return no_memory;
    free(node->target);
    node->type = walk.node->type;
    node->size = walk.node->size;
    node->data = walk.node->data;
    node->memory = walk.node->memory;
    node->target = target;
    return NULL;
}

static const char *entry_add(struct tree *tree, const struct tar_entry *entry)
{
    struct node *node;
    const char *problem;
    if (entry->type == TAR_OTHER)
        return NULL;
    problem = place_make(tree, entry->name, entry->name_length, &node);
    if (problem)
        return problem;
    if (entry->type != TAR_DIRECTORY && (node == tree->root || node->child_count))
        return "the archive replaces a directory by a file";
    node->mode = entry->mode;
    node->modified = (int64_t)((uint64_t)entry->modified * 1000000000u);
    node->uid = entry->uid;
    node->gid = entry->gid;
    switch (entry->type) {
    case TAR_FILE:
        return file_fill(tree, node, entry);
    case TAR_SYMBOLIC_LINK:
        return link_fill(node, entry);
    case TAR_HARD_LINK:
        return hard_link_fill(tree, node, entry);
    default:
        node->type = FILE_DIRECTORY;
        return NULL;
    }
}

const char *tree_build(struct tree *tree, const uint8_t *archive, size_t length)
{
    struct tar_reader reader = {.data = archive, .length = length};
    struct tar_entry entry;
    int result;
    memset(tree, 0, sizeof(*tree));
    tree->root = node_create(tree, NULL, &(struct component){.name = "", .hash = HASH_START});
    if (!tree->root)
        return no_memory;
    tree->root->parent = tree->root;
    while ((result = tar_next(&reader, &entry)) > 0) {
        const char *problem = entry_add(tree, &entry);
        if (problem)
            return problem;
    }
    if (result < 0)
        return reader.problem;
    return index_build(tree) ? NULL : no_memory;
}

void tree_destroy(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        struct node *node = tree->nodes[i];
        free(node->children);
        free(node->target);
        free(node->path);
        free(node);
    }
    for (struct content *content = tree->contents, *next; content; content = next) {
        next = content->next;
        content_destroy(content->data, content->size, content->memory);
        free(content);
    }
    free(tree->nodes);
    index_destroy(tree);
    memset(tree, 0, sizeof(*tree));
}

/* A path being walked: links put their target in front of what is left. */
struct route {
    char *text; /* owned; NULL: the caller's */
    const char *path;
    size_t length, at;
};

static bool has_scheme(const char *target)
{
    const char *mark = strstr(target, "://");
    return mark && mark != target && !memchr(target, '/', (size_t)(mark - target));
}

/* "target/rest" as the new route; without FOLLOW of an outside URI only its text is wanted. */
static int64_t route_through_link(struct route *route, const char *target)
{
    size_t target_length = strlen(target), rest = route->length - route->at;
    if (target_length + 1 + rest > PATH_LENGTH_MAX)
        return -E_TOO_LONG;
    char *text = malloc(target_length + rest + 1);
    if (!text)
        return -E_NO_MEMORY;
    memcpy(text, target, target_length);
    memcpy(text + target_length, route->path + route->at, rest); /* begins with '/' or is empty */
    text[target_length + rest] = '\0';
    free(route->text);
    *route = (struct route){.text = text, .path = text, .length = target_length + rest};
    return 0;
}

static bool route_ended(const struct route *route)
{
    for (size_t i = route->at; i < route->length; i++)
        if (route->path[i] != '/')
            return false;
    return true;
}

/* One component; 1: there are more. */
static int64_t walk_step(const struct tree *tree, struct route *route, uint32_t flags, int *links,
                         struct walk *walk)
{
    struct component component;
    bool found;
    if (!component_next(route->path, route->length, &route->at, &component))
        return 0;
    if (walk->node->type != FILE_DIRECTORY)
        return -E_NOT_DIRECTORY;
    if (component_is_dot(&component))
        return 1;
    if (component_is_dots(&component)) {
        walk->node = walk->node->parent;
        return 1;
    }
    uint32_t index = child_find(walk->node, &component, &found);
    if (!found)
        return -E_NOT_FOUND;
    struct node *child = walk->node->children[index];
    /* "link/" asks for what the link leads to, as POSIX has it. */
    bool end = route_ended(route) && route->at == route->length;
    if (child->type != FILE_LINK || (end && !(flags & WALK_FOLLOW))) {
        walk->node = child;
        return 1;
    }
    if (++*links > WALK_LINKS_MAX)
        return -E_LOOP;
    int64_t result = route_through_link(route, child->target);
    if (result < 0)
        return result;
    if (has_scheme(child->target)) {
        walk->link = route->text;
        route->text = NULL;
        return -E_LINK;
    }
    if (child->target[0] == '/')
        walk->node = tree->root;
    return 1;
}

int64_t tree_walk(const struct tree *tree, const char *path, size_t length, uint32_t flags,
                  struct walk *walk)
{
    struct route route = {.path = path, .length = length};
    int links = 0;
    int64_t result;
    walk->link = NULL;
    walk->node = index_find(tree, path, length);
    if (walk->node && (walk->node->type != FILE_LINK || !(flags & WALK_FOLLOW)))
        return 0;
    walk->node = tree->root;
    do
        result = walk_step(tree, &route, flags, &links, walk);
    while (result > 0);
    /* "file/" names a directory or nothing. */
    if (result == 0 && length && path[length - 1] == '/' && walk->node->type != FILE_DIRECTORY)
        result = -E_NOT_DIRECTORY;
    free(route.text);
    return result;
}
