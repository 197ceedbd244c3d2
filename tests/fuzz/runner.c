/* The harness without libFuzzer: the committed corpus, then mutations of it, the same ones in each run.
 *
 * usage: fuzz_NAME CORPUS_FOLDER MUTATIONS */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/base/philox.h"
#include "core/io/file.h"
#include "tests/fuzz/harness.h"

enum {
    SEED_LIMIT_BYTES = 1 << 20,
    INPUT_LIMIT_BYTES = 1 << 16,
    MUTATION_SEED = 20,
    CHANGES_LIMIT = 6,
    MEMORY_LIMIT_MB = 512, /* of the whole process: the largest bound of a reader is a record of 64 MiB */
};

#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
#else
enum { SANITIZED = 0 };
#endif

typedef struct Seed {
    char *name, *bytes;
    size_t size;
} Seed;
typedef ARRAY(Seed) SeedArray;

typedef struct Random {
    PhiloxKey key;
    uint32_t count;
} Random;

static size_t draw(Random *random, size_t bound)
{
    PhiloxBlock block = philox4x32_10(random->key, random->count++, 0, 0, 0);
    return (size_t)philox_uniform_below(block.word[0], block.word[1], bound);
}

static Status seeds_read(SeedArray *seeds, const char *folder, Diagnostic *diagnostic)
{
    StringArray names = {0};
    Status status = folder_list(folder, &names, diagnostic);
    for (size_t i = 0; i < names.count && status == STATUS_OK; i++) {
        Seed seed = {.name = path_join(folder, names.items[i])};
        status = file_read(seed.name, SEED_LIMIT_BYTES, &seed.bytes, &seed.size, diagnostic);
        array_push(seeds, seed);
    }
    string_array_free(&names);
    return status;
}

static void replace(Text *text, size_t at, size_t removed, const char *bytes, size_t size)
{
    Text made = {0};
    text_append(&made, text->bytes, at);
    text_append(&made, bytes, size);
    text_append(&made, text->bytes + at + removed, text->size - at - removed);
    text_free(text);
    *text = made;
}

/* What readers trip over. */
static const char *const pieces[] = {"\n",
                                     "\r\n",
                                     "\r",
                                     "\t",
                                     " ",
                                     "\"",
                                     "\"\"",
                                     ",",
                                     "{",
                                     "}",
                                     "[",
                                     "]",
                                     ":",
                                     "\\u0000",
                                     "\\ud800",
                                     "\xEF\xBB\xBF",
                                     "\xEF\xB8\x8F",
                                     "\xC2\xA0",
                                     "\xE3\x80\x80",
                                     "\xF0\x9F\x98\x80",
                                     "\xED\xA0\x80",
                                     "\xC0\x80",
                                     "\xFF",
                                     "-1",
                                     "0",
                                     "9223372036854775807",
                                     "18446744073709551616",
                                     "1e999",
                                     "null",
                                     "-DOCSTART-",
                                     "# ",
                                     "B-",
                                     "I-X",
                                     "O",
                                     "&a",
                                     "*a",
                                     "!!",
                                     "---",
                                     "T1\t"};

static void change(Random *random, const SeedArray *seeds, Text *input)
{
    size_t at = draw(random, input->size + 1), rest = input->size - at;
    const Seed *other = &seeds->items[draw(random, seeds->count)];
    const char *piece = pieces[draw(random, sizeof pieces / sizeof *pieces)];
    char byte = (char)draw(random, 256);
    switch (draw(random, 7)) {
    case 0: /* bits flipped */
        if (rest > 0)
            input->bytes[at] ^= (char)(1u << draw(random, 8));
        break;
    case 1:
        replace(input, at, rest > 0, &byte, 1);
        break;
    case 2:
        replace(input, at, draw(random, rest + 1), "", 0);
        break;
    case 3: { /* a part doubled */
        char *copy = memory_copy_bytes(input->bytes + at, rest);
        replace(input, at, 0, copy, draw(random, rest + 1));
        free(copy);
        break;
    }
    case 4: { /* a part of another seed */
        size_t from = draw(random, other->size + 1);
        replace(input, at, draw(random, rest + 1), other->bytes + from, draw(random, other->size - from + 1));
        break;
    }
    default:
        replace(input, at, 0, piece, strlen(piece));
        break;
    }
}

/* A copy of its own size: a sanitizer sees the first byte read behind it. */
static void run(const char *bytes, size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);
    ASSERT(exact != NULL);
    memcpy(exact, bytes, size);
    int result = LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    ASSERT(result == 0);
}

static void mutations_run(const SeedArray *seeds, long mutations)
{
    Random random = {.key = philox_key(MUTATION_SEED, RANDOM_BOOTSTRAP, 0)};
    Text input = {0};
    for (long i = 0; i < mutations; i++) {
        const Seed *seed = &seeds->items[draw(&random, seeds->count)];
        text_clear(&input);
        text_append(&input, seed->bytes, seed->size);
        for (size_t changes = 1 + draw(&random, CHANGES_LIMIT); changes > 0; changes--)
            change(&random, seeds, &input);
        if (input.size <= INPUT_LIMIT_BYTES)
            run(input.bytes, input.size);
    }
    text_free(&input);
}

int main(int argument_count, char **arguments)
{
    Diagnostic diagnostic = {0};
    SeedArray seeds = {0};
    char *end = NULL;
    errno = 0;
    long mutations = argument_count == 3 ? strtol(arguments[2], &end, 10) : -1;
    if (mutations < 0 || errno || *end) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER MUTATIONS\n", arguments[0]);
        return 2;
    }
    Status status = seeds_read(&seeds, arguments[1], &diagnostic);
    if (status != STATUS_OK || seeds.count == 0) {
        fprintf(stderr, "%s: no seeds: %s\n", arguments[1], diagnostic.message);
        return 1;
    }
    for (size_t i = 0; i < seeds.count; i++)
        run(seeds.items[i].bytes, seeds.items[i].size);
    mutations_run(&seeds, mutations);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%zu seeds and %ld mutations, %ld MiB at most\n", seeds.count, mutations, usage.ru_maxrss >> 10);
    for (size_t i = 0; i < seeds.count; i++) {
        free(seeds.items[i].name);
        free(seeds.items[i].bytes);
    }
    array_free(&seeds);
    return SANITIZED || usage.ru_maxrss >> 10 <= MEMORY_LIMIT_MB ? 0 : 1;
}
