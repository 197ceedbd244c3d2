/* The layout of an LMDB 0.9 data file on a 64-bit little-endian machine, as far as it matters here.
 *
 *   page    {u64 number, u16 pad, u16 flags, then u16 lower, u16 upper or, for an overflow page, u32 pages}, 16 bytes, and its content
 *   meta    pages 0 and 1, the valid one is that with the higher transaction: after the page header
 *           {u32 magic, u32 version, u64 address, u64 map size, tree free, tree main, u64 last page, u64 transaction}
 *   tree    {u32 pad (the page size, in `free`), u16 flags, u16 depth, u64 branch, leaf and overflow pages, u64 entries, u64 root}
 *   branch and leaf pages: u16 offsets of nodes from 16 up to `lower`, nodes from `upper` up to the page's end
 *   node    {u16 low, u16 high, u16 flags, u16 key size}, key, data: a child's page is low, high, flags as 48 bits; data has
 *           low, high as 32 bits of size and stands in the node, or is the number of its first overflow page (flag BIG), or is the
 *           tree of a named table (flag TREE)
 */
#include "core/io/kv_check.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/io/file.h"

_Static_assert(sizeof(size_t) == 8 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the layout above is that of such machines");

enum {
    PAGE_HEADER_SIZE = 16,
    PAGE_BRANCH = 0x01,
    PAGE_LEAF = 0x02,
    PAGE_OVERFLOW = 0x04,
    PAGE_META = 0x08,
    META_VERSION = 1,
    META_FREE_AT = 24,
    META_MAIN_AT = 72,
    META_LAST_PAGE_AT = 120,
    META_TRANSACTION_AT = 128,
    META_SIZE = 136,
    TREE_SIZE = 48,
    NODE_HEADER_SIZE = 8,
    NODE_BIG = 0x01,
    NODE_TREE = 0x02,
    TREE_FLAG_INTEGER_KEY = 0x08,
    TREE_FLAG_NO_FOLDER = 0x4000, /* kept in `free` by whoever made the file with this option */
    SMALLEST_PAGE = 4096,
    LARGEST_PAGE = 32768,
    KEY_LIMIT = 511,
    DEPTH_LIMIT = 32, /* of LMDB's cursors */
};
#define META_MAGIC 0xBEEFC0DEu
#define NO_PAGE UINT64_MAX

typedef enum TreeKind { TREE_FREE, TREE_MAIN, TREE_TABLE } TreeKind;

typedef struct Tree {
    TreeKind kind;
    uint16_t flags;
    uint16_t depth;
    uint64_t entries;
    uint64_t root;
} Tree;

typedef struct Checker {
    const char *path;
    FileMap map;
    size_t page_size;
    uint64_t page_count; /* pages that the valid meta page says are in use */
    uint8_t *seen;       /* [page_count / 8 + 1] bits: no page may be reached twice */
    Diagnostic *diagnostic;
} Checker;

static uint16_t load16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint32_t load32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t load64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

#define CORRUPT(checker, ...) kv_corrupt((checker), __LINE__, __VA_ARGS__)
static Status kv_corrupt(const Checker *checker, int line, const char *format, ...) PRINTF_LIKE(3, 4);
static Status kv_corrupt(const Checker *checker, int line, const char *format, ...)
{
    char reason[256];
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return diagnostic_fail(checker->diagnostic, STATUS_CORRUPT, __FILE__, line,
                           "%s is not a whole database (%s): delete it, it is made again where it can be", checker->path,
                           written < 0 ? "damaged" : reason);
}

static Tree load_tree(const uint8_t *at, TreeKind kind)
{
    return (Tree){
        .kind = kind, .flags = load16(at + 4), .depth = load16(at + 6), .entries = load64(at + 32), .root = load64(at + 40)};
}

/* A page that is reached for the first time, with the flags that it must have. */
static Status take_page(Checker *checker, uint64_t number, const uint8_t **page)
{
    if (number < 2 || number >= checker->page_count)
        return CORRUPT(checker, "page %llu of %llu is referred to", (unsigned long long)number,
                       (unsigned long long)checker->page_count);
    if (checker->seen[number / 8] & (1u << number % 8))
        return CORRUPT(checker, "page %llu is referred to twice", (unsigned long long)number);
    checker->seen[number / 8] |= (uint8_t)(1u << number % 8);
    *page = checker->map.bytes + number * checker->page_size;
    return STATUS_OK;
}

/* The run of pages that holds a large value of size bytes. */
static Status check_overflow(Checker *checker, uint64_t number, uint64_t size, const uint8_t **bytes)
{
    Status status = STATUS_OK;
    const uint8_t *page;
    TRY(take_page(checker, number, &page));
    uint64_t wanted = (PAGE_HEADER_SIZE + size + checker->page_size - 1) / checker->page_size, held = load32(page + 12);
    if (load64(page) != number || load16(page + 10) != PAGE_OVERFLOW || held < wanted || held > checker->page_count - number) {
        status =
            CORRUPT(checker, "page %llu does not hold a value of %llu bytes", (unsigned long long)number, (unsigned long long)size);
        goto out;
    }
    *bytes = page + PAGE_HEADER_SIZE;
    for (uint64_t i = 1; i < held; i++)
        TRY(take_page(checker, number + i, &page));
out:
    return status;
}

static Status check_tree(Checker *checker, const Tree *tree);

/* A record of the tree of free pages: {u64 count, count page numbers}, falling. Writers take these pages for theirs, so none of them
 * may be in use as well. */
static Status check_free_record(Checker *checker, const uint8_t *data, uint64_t size)
{
    if (size < 8 || size % 8 != 0 || load64(data) > size / 8 - 1)
        return CORRUPT(checker, "a list of free pages is longer than its record");
    uint64_t previous = NO_PAGE;
    for (uint64_t i = 1; i <= load64(data); i++) {
        const uint8_t *page;
        uint64_t number = load64(data + 8 * i);
        if (number >= previous)
            return CORRUPT(checker, "a list of free pages is out of order");
        Status status = take_page(checker, number, &page);
        if (status != STATUS_OK)
            return status;
        previous = number;
    }
    return STATUS_OK;
}

/* A record; node lies in its page up to its key's end, room is what the page has behind that. */
static Status check_record(Checker *checker, const Tree *tree, const uint8_t *node, size_t room)
{
    uint16_t flags = load16(node + 4), key_size = load16(node + 6);
    uint64_t size = load32(node);
    const uint8_t *data = node + NODE_HEADER_SIZE + key_size;
    bool big = flags == NODE_BIG, is_tree = flags == NODE_TREE;
    if (key_size < 1 || key_size > KEY_LIMIT || (tree->kind == TREE_FREE && key_size != 8))
        return CORRUPT(checker, "a key has %u bytes", key_size);
    if ((flags != 0 && !big && !is_tree) || is_tree != (tree->kind == TREE_MAIN))
        return CORRUPT(checker, "a record has the flags 0x%x", flags);
    if ((big ? 8 : size) > room || (is_tree && size != TREE_SIZE))
        return CORRUPT(checker, "a record of %llu bytes does not fit into its page", (unsigned long long)size);
    Status status = STATUS_OK;
    if (big)
        TRY(check_overflow(checker, load64(data), size, &data));
    if (tree->kind == TREE_FREE)
        TRY(check_free_record(checker, data, size));
    if (is_tree) {
        Tree table = load_tree(data, TREE_TABLE);
        TRY(check_tree(checker, &table));
    }
out:
    return status;
}

/* Are the keys of two neighbours in order? Free pages are keyed by numbers, everything else by bytes. */
static bool in_order(const Tree *tree, const uint8_t *left, const uint8_t *right)
{
    size_t left_size = load16(left + 6), right_size = load16(right + 6);
    left += NODE_HEADER_SIZE;
    right += NODE_HEADER_SIZE;
    if (tree->kind == TREE_FREE)
        return left_size == 8 && right_size == 8 && load64(left) < load64(right);
    int order = memcmp(left, right, left_size < right_size ? left_size : right_size);
    return order < 0 || (order == 0 && left_size < right_size);
}

/* Bytes of a whole node in its page; even. */
static size_t node_size(const uint8_t *node, bool leaf)
{
    uint64_t size = NODE_HEADER_SIZE + load16(node + 6);
    if (leaf)
        size += load16(node + 4) == NODE_BIG ? 8 : load32(node);
    return (size + 1) / 2 * 2;
}

/* Do the nodes fill the page from upper to its end, each byte once? Writers move nodes about and rely on it. */
static bool nodes_packed(const Checker *checker, const uint8_t *page, size_t count, size_t upper, bool leaf)
{
    uint8_t taken[LARGEST_PAGE / 2]; /* nodes lie at even places */
    memset(taken, 0, checker->page_size / 2);
    size_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        size_t at = load16(page + PAGE_HEADER_SIZE + 2 * i), size = node_size(page + at, leaf);
        if (size > checker->page_size - at || memchr(taken + at / 2, 1, size / 2))
            return false;
        memset(taken + at / 2, 1, size / 2);
        sum += size;
    }
    return sum == checker->page_size - upper;
}

/* The header and all nodes' bounds; nodes may be looked at freely afterwards. */
static Status check_page_bounds(const Checker *checker, const Tree *tree, const uint8_t *page, uint64_t number, bool leaf)
{
    size_t lower = load16(page + 12), upper = load16(page + 14);
    if (load64(page) != number || load16(page + 10) != (leaf ? PAGE_LEAF : PAGE_BRANCH))
        return CORRUPT(checker, "page %llu is not what its parent says", (unsigned long long)number);
    if (lower < PAGE_HEADER_SIZE || lower % 2 != 0 || lower > upper || upper > checker->page_size)
        return CORRUPT(checker, "page %llu has impossible bounds", (unsigned long long)number);
    size_t count = (lower - PAGE_HEADER_SIZE) / 2, fewest = leaf || tree->kind == TREE_FREE ? 1 : 2;
    if (count < fewest)
        return CORRUPT(checker, "page %llu has too few entries", (unsigned long long)number);
    for (size_t i = 0; i < count; i++) {
        size_t at = load16(page + PAGE_HEADER_SIZE + 2 * i);
        if (at < upper || at % 2 != 0 || at + NODE_HEADER_SIZE > checker->page_size ||
            at + NODE_HEADER_SIZE + load16(page + at + 6) > checker->page_size)
            return CORRUPT(checker, "entry %zu of page %llu lies outside of it", i, (unsigned long long)number);
    }
    if (!nodes_packed(checker, page, count, upper, leaf))
        return CORRUPT(checker, "the entries of page %llu overlap or leave gaps", (unsigned long long)number);
    for (size_t i = leaf ? 1 : 2; i < count; i++) { /* the first key of a branch page is left empty */
        const uint8_t *nodes = page + PAGE_HEADER_SIZE + 2 * i;
        if (!in_order(tree, page + load16(nodes - 2), page + load16(nodes)))
            return CORRUPT(checker, "keys of page %llu are out of order", (unsigned long long)number);
    }
    return STATUS_OK;
}

/* The subtree below a page, height levels high (1: a leaf). The depth is bounded by check_tree. */
static Status check_subtree(Checker *checker, const Tree *tree, uint64_t number, unsigned height, uint64_t *entries)
{
    Status status = STATUS_OK;
    const uint8_t *page;
    bool leaf = height == 1;
    TRY(take_page(checker, number, &page));
    TRY(check_page_bounds(checker, tree, page, number, leaf));
    size_t count = (size_t)(load16(page + 12) - PAGE_HEADER_SIZE) / 2;
    for (size_t i = 0; i < count; i++) {
        size_t at = load16(page + PAGE_HEADER_SIZE + 2 * i);
        const uint8_t *node = page + at;
        size_t key_end = at + NODE_HEADER_SIZE + load16(node + 6);
        if (leaf)
            TRY(check_record(checker, tree, node, checker->page_size - key_end));
        else
            TRY(check_subtree(checker, tree, load32(node) | (uint64_t)load16(node + 4) << 32, height - 1, entries));
    }
    if (leaf)
        *entries += count;
out:
    return status;
}

static Status check_tree(Checker *checker, const Tree *tree)
{
    unsigned allowed = tree->kind == TREE_FREE ? TREE_FLAG_INTEGER_KEY | TREE_FLAG_NO_FOLDER : 0;
    if ((tree->flags & ~allowed) != 0 || (tree->kind == TREE_FREE && !(tree->flags & TREE_FLAG_INTEGER_KEY)))
        return CORRUPT(checker, "a table has the flags 0x%x", tree->flags);
    uint64_t entries = 0;
    if (tree->root != NO_PAGE) {
        if (tree->depth < 1 || tree->depth > DEPTH_LIMIT)
            return CORRUPT(checker, "a table is %u levels deep", tree->depth);
        Status status = check_subtree(checker, tree, tree->root, tree->depth, &entries);
        if (status != STATUS_OK)
            return status;
    }
    if (entries != tree->entries || (tree->root == NO_PAGE && tree->depth != 0))
        return CORRUPT(checker, "a table has %llu entries and says %llu", (unsigned long long)entries,
                       (unsigned long long)tree->entries);
    return STATUS_OK;
}

/* Checks one meta page; returns its content. */
static Status check_meta(const Checker *checker, size_t offset, const uint8_t **meta)
{
    if (checker->map.size < offset + PAGE_HEADER_SIZE + META_SIZE)
        return CORRUPT(checker, "it ends after %zu bytes", checker->map.size);
    const uint8_t *page = checker->map.bytes + offset;
    *meta = page + PAGE_HEADER_SIZE;
    if (!(load16(page + 10) & PAGE_META) || load32(*meta) != META_MAGIC)
        return CORRUPT(checker, "its head is not that of an LMDB file");
    if (load32(*meta + 4) != META_VERSION)
        return CORRUPT(checker, "LMDB format version %u, expected %d", load32(*meta + 4), META_VERSION);
    uint32_t page_size = load32(*meta + META_FREE_AT);
    if (page_size < SMALLEST_PAGE || page_size > LARGEST_PAGE || (page_size & (page_size - 1)) != 0)
        return CORRUPT(checker, "pages of %u bytes", page_size);
    return STATUS_OK;
}

static Status check_map(Checker *checker)
{
    Status status = STATUS_OK;
    const uint8_t *metas[2];
    TRY(check_meta(checker, 0, &metas[0]));
    checker->page_size = load32(metas[0] + META_FREE_AT);
    TRY(check_meta(checker, checker->page_size, &metas[1]));
    if (load32(metas[1] + META_FREE_AT) != checker->page_size) {
        status = CORRUPT(checker, "its two heads disagree");
        goto out;
    }
    bool second = load64(metas[0] + META_TRANSACTION_AT) < load64(metas[1] + META_TRANSACTION_AT);
    const uint8_t *meta = metas[second];
    uint64_t last_page = load64(meta + META_LAST_PAGE_AT), pages_in_file = checker->map.size / checker->page_size;
    if (last_page < 1 || last_page >= pages_in_file) {
        status = CORRUPT(checker, "it has %llu pages and says %llu; was it cut off?", (unsigned long long)pages_in_file,
                         (unsigned long long)last_page + 1);
        goto out;
    }
    checker->page_count = last_page + 1;
    checker->seen = memory_allocate(checker->page_count / 8 + 1, 1);
    Tree free_tree = load_tree(meta + META_FREE_AT, TREE_FREE), main_tree = load_tree(meta + META_MAIN_AT, TREE_MAIN);
    TRY(check_tree(checker, &free_tree));
    TRY(check_tree(checker, &main_tree));
out:
    return status;
}

Status kv_check_file(const char *path, Diagnostic *diagnostic)
{
    Checker checker = {.path = path, .diagnostic = diagnostic};
    Status status = file_map_open(&checker.map, path, diagnostic);
    if (status == STATUS_OK)
        status = check_map(&checker);
    free(checker.seen);
    file_map_close(&checker.map);
    return status;
}
