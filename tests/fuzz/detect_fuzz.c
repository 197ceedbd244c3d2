/* The format found by content and name; what is found must be readable, or refused with a reason. */
#include <stdio.h>
#include <stdlib.h>

#include "shard/corpus.h"
#include "tests/fuzz/harness.h"

static void detect(const char *name, const uint8_t *bytes, size_t size)
{
    char *path = fuzz_write(name, bytes, size);
    CorpusFormat format;
    CorpusReader *reader = NULL;
    const CorpusSentence *sentence;
    Diagnostic diagnostic = {0};
    Status status = corpus_format_detect(path, &format, &diagnostic);
    if (status == STATUS_OK) {
        ASSERT(format > CORPUS_AUTO && format < CORPUS_BRAT); /* there is no .ann */
        status = corpus_reader_open(&reader, path, (CorpusOptions){0}, NULL, NULL, &diagnostic);
        ASSERT(status != STATUS_OK || corpus_reader_format(reader) == format);
    }
    if (status == STATUS_OK)
        status = corpus_reader_next(reader, &sentence, &diagnostic);
    if (status != STATUS_OK)
        fuzz_check_refused_line(status, &diagnostic, path);
    corpus_reader_close(&reader);
    ASSERT(remove(path) == 0);
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const names[] = {"corpus", "corpus.conll", "corpus.txt", "corpus.csv", "corpus.json", "corpus.jsonl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        detect(names[i], bytes, size);
    return 0;
}
