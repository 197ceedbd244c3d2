#include "cli/tagging.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Standard input as a file that can be opened: itself when it is one, or a copy without a name. *copy is closed by the caller. */
static Status open_standard_input(FILE **copy, char **path, Diagnostic *diagnostic)
{
    struct stat information;
    char buffer[1 << 14];
    ssize_t count;
    if (fstat(STDIN_FILENO, &information) == 0 && S_ISREG(information.st_mode) && lseek(STDIN_FILENO, 0, SEEK_CUR) == 0) {
        *path = memory_copy_string("/dev/stdin");
        return STATUS_OK;
    }
    if ((*copy = tmpfile()) == NULL)
        return FAIL(diagnostic, status_from_errno(errno), "cannot copy standard input to a temporary file: %s", strerror(errno));
    while ((count = read(STDIN_FILENO, buffer, sizeof buffer)) != 0) {
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return FAIL(diagnostic, status_from_errno(errno), "cannot read standard input: %s", strerror(errno));
        if (fwrite(buffer, 1, (size_t)count, *copy) != (size_t)count)
            break;
    }
    if (count != 0 || fflush(*copy) != 0)
        return FAIL(diagnostic, status_from_errno(errno), "cannot copy standard input to a temporary file: %s", strerror(errno));
    *path = memory_format("/proc/self/fd/%d", fileno(*copy));
    return STATUS_OK;
}

static Status tag_file(Predictor *predictor, const char *path, CorpusOptions columns, TaggedSentence on_sentence, void *context,
                       Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    CorpusReader *reader = NULL;
    const CorpusSentence *sentence = NULL;
    ARRAY(const char *) tokens = {0}, labels = {0};
    Text text = {0};
    Prediction prediction = {0};
    TRY(corpus_reader_open(&reader, path, columns, NULL, NULL, diagnostic));
    for (;;) {
        TRY(corpus_reader_next(reader, &sentence, diagnostic));
        if (sentence == NULL)
            break;
        array_reserve(&tokens, (size_t)sentence->token_count);
        array_reserve(&labels, (size_t)sentence->token_count);
        for (int32_t i = 0; i < sentence->token_count; i++)
            tokens.items[i] = sentence->tokens[i].text;
        TRY(predictor_predict_tokens(predictor, tokens.items, sentence->token_count, &text, labels.items, &prediction, diagnostic));
        Tagging tagging = {.labels = labels.items, .text = text.bytes, .text_size = text.size, .prediction = &prediction};
        TRY(on_sentence(context, sentence, &tagging, diagnostic));
    }
out:
    corpus_reader_close(&reader);
    array_free(&tokens);
    array_free(&labels);
    text_free(&text);
    prediction_free(&prediction);
    return status;
}

Status tag_corpus(Predictor *predictor, const char *path, CorpusOptions columns, TaggedSentence on_sentence, void *context,
                  Diagnostic *diagnostic)
{
    if (strcmp(path, "-") != 0)
        return tag_file(predictor, path, columns, on_sentence, context, diagnostic);
    FILE *copy = NULL;
    char *copy_path = NULL;
    Status status = open_standard_input(&copy, &copy_path, diagnostic);
    if (status == STATUS_OK)
        status = tag_file(predictor, copy_path, columns, on_sentence, context, diagnostic);
    if (status != STATUS_OK && diagnostic->input_file[0])
        snprintf(diagnostic->input_file, sizeof diagnostic->input_file, "standard input");
    if (copy)
        fclose(copy);
    free(copy_path);
    return status;
}
