/* How fast WordPiece is on the sentences of CoNLL files: bench_tokenize --vocab FILE [--cased] [--cache WORDS] [--words] [--threads N]
 * [--repeat N] [--clock wall|cpu] [--hash] FILE...
 *
 * A pass encodes every sentence once, in order, and starts cold: the processor's caches are swept before it, and it makes its word cache
 * (--cache; 0: none) itself. Its time is that of the slowest thread; the best and the median of --repeat passes are printed, as one JSON line. --clock cpu
 * takes the time that the thread ran for, which a busy machine disturbs less. --words encodes the tokens one by one, as sharding does. --hash adds
 * the SHA-256 of all ids, as 32-bit numbers. bench/tokenize.py compares with another tokenizer. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/io/hash.h"
#include "shard/wordpiece.h"

enum {
    THREAD_LIMIT = 64,
    SHARE = 64, /* sentences that a thread takes before the next one's turn */
    SWEPT_BYTES = 64 << 20,
    SWEEP_STEP = 64,
};

typedef struct Settings {
    const char *vocab;
    bool cased, words, hash;
    clockid_t clock;
    long cache_words, threads, repeat;
} Settings;

/* Sentence i: bytes [ends[i - 1], ends[i]) of the text. */
typedef struct Sentences {
    Text text;
    ARRAY(size_t) ends;
} Sentences;

static void fail(const char *what, const Diagnostic *diagnostic)
{
    fprintf(stderr, "bench_tokenize: %s%s%s\n", what, diagnostic ? ": " : "", diagnostic ? diagnostic->message : "");
    exit(2);
}

/* Tokens of one sentence are joined by spaces; a sentence that a file's end cuts goes on in the next file. */
static void read_sentences(const char *path, Sentences *sentences, bool *open)
{
    FILE *file = fopen(path, "r");
    if (!file)
        fail(path, NULL);
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, file) > 0) {
        size_t token = strcspn(line, "\t\r\n");
        if (token > 0) {
            if (*open)
                text_append_string(&sentences->text, " ");
            text_append(&sentences->text, line, token);
            *open = true;
        } else if (*open) {
            array_push(&sentences->ends, sentences->text.size);
            *open = false;
        }
    }
    free(line);
    fclose(file);
}

typedef struct Worker {
    const Settings *settings;
    const Wordpiece *wordpiece;
    const Sentences *sentences;
    pthread_barrier_t *barrier;
    size_t number; /* of the thread */
    int64_t begin_ns, end_ns;
    size_t pieces;
    Sha256 *hash; /* NULL: none */
} Worker;

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

static void encode_piecewise(const Wordpiece *wordpiece, WordpieceEncoder *encoder, const char *text, size_t size,
                             WordpieceOutput *output)
{
    Diagnostic diagnostic = {0};
    Status status = STATUS_OK;
    int32_t word = 0;
    for (size_t at = 0; at < size && status == STATUS_OK; word++) {
        const char *space = memchr(text + at, ' ', size - at);
        size_t length = space ? (size_t)(space - text) - at : size - at;
        status = encoder ? wordpiece_encoder_token(encoder, text + at, length, word, output, &diagnostic)
                         : wordpiece_encode_token(wordpiece, text + at, length, word, output, &diagnostic);
        at += length + 1;
    }
    if (status != STATUS_OK)
        fail("encoding", &diagnostic);
}

static void encode_sentence(const Worker *worker, WordpieceEncoder *encoder, size_t i, WordpieceOutput *output)
{
    Diagnostic diagnostic = {0};
    size_t start = i > 0 ? worker->sentences->ends.items[i - 1] : 0, size = worker->sentences->ends.items[i] - start;
    const char *text = worker->sentences->text.bytes + start;
    wordpiece_output_clear(output);
    if (worker->settings->words)
        encode_piecewise(worker->wordpiece, encoder, text, size, output);
    else if (encoder ? wordpiece_encoder_text(encoder, text, size, output, &diagnostic)
                     : wordpiece_encode_text(worker->wordpiece, text, size, output, &diagnostic))
        fail("encoding", &diagnostic);
}

static void *run_worker(void *context)
{
    Worker *worker = context;
    WordpieceOutput output = {0};
    WordpieceEncoder *encoder = NULL;
    Diagnostic diagnostic = {0};
    size_t pieces = 0; /* here, since another thread's worker may be in the same line of the cache */
    pthread_barrier_wait(worker->barrier);
    worker->begin_ns = now_ns(worker->settings->clock);
    if (worker->settings->cache_words > 0 &&
        wordpiece_encoder_create(&encoder, worker->wordpiece, (size_t)worker->settings->cache_words, &diagnostic))
        fail("the cache", &diagnostic);
    for (size_t i = 0; i < worker->sentences->ends.count; i++) {
        if (i / SHARE % (size_t)worker->settings->threads != worker->number)
            continue;
        encode_sentence(worker, encoder, i, &output);
        pieces += output.ids.count;
        if (worker->hash)
            sha256_update(worker->hash, output.ids.items, output.ids.count * sizeof *output.ids.items);
    }
    worker->end_ns = now_ns(worker->settings->clock);
    worker->pieces = pieces;
    wordpiece_encoder_destroy(&encoder);
    wordpiece_output_free(&output);
    return NULL;
}

/* Seconds that a pass took, and its pieces. */
static double run_pass(const Settings *settings, const Wordpiece *wordpiece, const Sentences *sentences, size_t *pieces,
                       Sha256 *hash)
{
    pthread_t threads[THREAD_LIMIT];
    Worker workers[THREAD_LIMIT];
    pthread_barrier_t barrier;
    const size_t count = (size_t)settings->threads;
    pthread_barrier_init(&barrier, NULL, (unsigned)count);
    for (size_t i = 0; i < count; i++) {
        workers[i] = (Worker){
            .settings = settings, .wordpiece = wordpiece, .sentences = sentences, .barrier = &barrier, .number = i, .hash = hash};
        if (pthread_create(&threads[i], NULL, run_worker, &workers[i]) != 0)
            fail("a thread", NULL);
    }
    int64_t begin = INT64_MAX, end = 0, longest = 0;
    *pieces = 0;
    for (size_t i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        int64_t taken = workers[i].end_ns - workers[i].begin_ns;
        begin = workers[i].begin_ns < begin ? workers[i].begin_ns : begin;
        end = workers[i].end_ns > end ? workers[i].end_ns : end;
        longest = taken > longest ? taken : longest;
        *pieces += workers[i].pieces;
    }
    pthread_barrier_destroy(&barrier);
    return (double)(settings->clock == CLOCK_MONOTONIC ? end - begin : longest) * 1e-9;
}

static void sweep_caches(uint8_t *memory)
{
    for (size_t i = 0; i < SWEPT_BYTES; i += SWEEP_STEP)
        memory[i]++;
}

static int compare_seconds(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const Settings *settings, const Wordpiece *wordpiece, const Sentences *sentences)
{
    uint8_t *swept = memory_allocate(SWEPT_BYTES, 1);
    char hex[SHA256_HEX_SIZE] = "";
    double *seconds = memory_allocate((size_t)settings->repeat, sizeof *seconds);
    size_t pieces = 0;
    for (long pass = 0; pass < settings->repeat; pass++) {
        sweep_caches(swept);
        seconds[pass] = run_pass(settings, wordpiece, sentences, &pieces, NULL);
    }
    qsort(seconds, (size_t)settings->repeat, sizeof *seconds, compare_seconds);
    const double megabytes = (double)sentences->text.size * 1e-6;
    if (settings->hash) {
        Settings alone = *settings;
        Sha256 hash;
        alone.threads = 1;
        sha256_begin(&hash);
        run_pass(&alone, wordpiece, sentences, &pieces, &hash);
        sha256_finish_hex(&hash, hex);
    }
    printf("{\"bytes\": %zu, \"sentences\": %zu, \"pieces\": %zu, \"mb_per_s\": %.3f, \"median_mb_per_s\": %.3f, \"ids_sha256\": "
           "\"%s\"}\n",
           sentences->text.size, sentences->ends.count, pieces, megabytes / seconds[0], megabytes / seconds[settings->repeat / 2],
           hex);
    free(seconds);
    free(swept);
}

static long read_number(const char *text, long minimum, long maximum)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < minimum || value > maximum)
        fail("a number is out of range", NULL);
    return value;
}

static int read_settings(Settings *settings, int argc, char **argv)
{
    *settings = (Settings){.clock = CLOCK_MONOTONIC, .threads = 1, .repeat = 5};
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        const char *name = argv[i] + 2, *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "cased") == 0) {
            settings->cased = true;
            continue;
        }
        if (strcmp(name, "words") == 0) {
            settings->words = true;
            continue;
        }
        if (strcmp(name, "hash") == 0) {
            settings->hash = true;
            continue;
        }
        if (strcmp(name, "vocab") == 0)
            settings->vocab = value;
        else if (strcmp(name, "cache") == 0)
            settings->cache_words = read_number(value, 0, 1 << 24);
        else if (strcmp(name, "threads") == 0)
            settings->threads = read_number(value, 1, THREAD_LIMIT);
        else if (strcmp(name, "repeat") == 0)
            settings->repeat = read_number(value, 1, 100000);
        else if (strcmp(name, "clock") == 0)
            settings->clock = strcmp(value, "cpu") == 0 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
        else
            fail(argv[i], NULL);
        i++;
    }
    if (settings->vocab == NULL || i >= argc)
        fail("usage: bench_tokenize --vocab FILE [--cased] [--cache WORDS] [--words] [--threads N] [--repeat N] [--clock wall|cpu] "
             "[--hash] FILE...",
             NULL);
    return i;
}

int main(int argc, char **argv)
{
    Settings settings;
    Sentences sentences = {0};
    Diagnostic diagnostic = {0};
    Wordpiece *wordpiece = NULL;
    bool open = false;
    for (int i = read_settings(&settings, argc, argv); i < argc; i++)
        read_sentences(argv[i], &sentences, &open);
    if (open)
        array_push(&sentences.ends, sentences.text.size);
    if (wordpiece_open(&wordpiece, settings.vocab, (WordpieceOptions){.lowercase = !settings.cased}, &diagnostic))
        fail("opening", &diagnostic);
    measure(&settings, wordpiece, &sentences);
    wordpiece_close(&wordpiece);
    text_free(&sentences.text);
    array_free(&sentences.ends);
    return 0;
}
