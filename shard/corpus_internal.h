/* What the readers of corpus formats share. Internal to shard/. */
#ifndef NERSWEEP_SHARD_CORPUS_INTERNAL_H
#define NERSWEEP_SHARD_CORPUS_INTERNAL_H

#include "core/io/json.h"
#include "shard/corpus.h"
#include "shard/corpus_layout.h"
#include "shard/corpus_lines.h"
#include "shard/corpus_ranges.h"

/* One format. `open` sets reader->source, which `close` frees (also when it is NULL, or half made).
 * `next` appends the tokens of one sentence, or sets reader->text; *more = false and neither at the end. */
typedef struct CorpusOperations {
    Status (*open)(CorpusReader *reader, Diagnostic *diagnostic);
    Status (*next)(CorpusReader *reader, bool *more, Diagnostic *diagnostic);
    void (*close)(CorpusReader *reader);
    void (*progress)(const CorpusReader *reader, uint64_t *bytes_done, uint64_t *bytes_total);
} CorpusOperations;
extern const CorpusOperations corpus_conll, corpus_csv, corpus_jsonl, corpus_prodigy, corpus_labelstudio, corpus_spacy, corpus_brat;

/* Of a format whose files can be cut: what corpus_ranges.h says. open_part sets part->source, as open does. */
typedef struct CorpusCuts {
    CorpusCut (*cut)(CorpusReader *reader, uint64_t size_bytes, uint64_t limit_bytes, bool documents, CorpusRange *range);
    void (*open_part)(CorpusReader *part, const CorpusReader *reader);
    void (*start)(CorpusReader *part, const CorpusRange *range);
    const CorpusLayout *(*read)(CorpusReader *part, const CorpusRange *range, size_t slack, Text *bytes);
} CorpusCuts;
extern const CorpusCuts corpus_conll_cuts;

typedef ARRAY(CorpusToken) CorpusTokenArray;
typedef ARRAY(CorpusSpan) CorpusSpanArray;

/* A piece of raw text with its spans; all of it in the reader's arena. */
typedef struct CorpusText {
    const char *bytes; /* NULL: none */
    size_t size;
    const char *file;    /* where the spans stand */
    long line, column;   /* of the record, or of the text's beginning */
    bool places_in_text; /* line and column are those of the text itself: tokens have places of their own */
    bool tokens_given;   /* reader->tokens has them */
} CorpusText;

struct CorpusReader {
    char *path;
    CorpusOptions options;
    const CorpusOperations *operations;
    void *source;
    CorpusProblem problem;
    void *problem_context;
    bool refused;          /* the file is no text, which was told: there is nothing to read */
    bool empty_token_said; /* without a problem function a kind of warning is logged once */
    bool keeps_warnings;   /* and not even that: kept has it */
    CorpusWarning kept;
    bool counts_said;
    Arena *arena; /* texts of the current sentence */
    size_t sentence_bytes;
    CorpusTokenArray tokens;
    size_t label_size; /* of the last token that was appended */
    CorpusSpanArray spans;
    CorpusText text;
    CorpusCounts counts;
    LabelSet *label_names; /* made by the reader: labels of text formats */
    CorpusSentence sentence;
};

/* A reader without an operation yet. */
CorpusReader *corpus_reader_new(const char *path, CorpusOptions options);
/* corpus_reader_cut of a format that lines make up, for its `cut`. */
CorpusCut corpus_lines_cut(CorpusLines *lines, uint64_t size_bytes, uint64_t limit_bytes, bool documents, CorpusRange *range);

/* An error ends the reading unless there is somebody to tell it to, who then goes on with the next line or record. file: NULL is the
 * reader's path. */
Status corpus_reader_error(CorpusReader *reader, const char *file, long line, long column, const char *rule, Diagnostic *diagnostic,
                           const char *format, ...) PRINTF_LIKE(7, 8);
#define CORPUS_EMPTY_TOKEN "the token is empty: its label is kept, and the model sees an unknown piece"
void corpus_reader_empty_token(CorpusReader *reader, long line, long column);
/* Copies token and label to the arena and appends; tokens in a row with one label share its text. STATUS_LIMIT when the sentence grows over its bounds. */
NODISCARD Status corpus_reader_append(CorpusReader *reader, CorpusToken token, size_t label_size, Diagnostic *diagnostic);

/* Forgets the tokens, text and spans of the sentence before, or of a record that was given up. */
void corpus_reader_reset(CorpusReader *reader);

/* reader->text and reader->spans become reader->tokens with labels. *usable = false: an error was told, go on with the next record. */
NODISCARD Status corpus_text_label(CorpusReader *reader, bool *usable, Diagnostic *diagnostic);

/* STATUS_UNSUPPORTED with advice when the file's first bytes are those of UTF-16, or of a compressed file. corpus_format_detect asks too. */
NODISCARD Status corpus_encoding_check(const char *path, Diagnostic *diagnostic);

/* Offsets in units (code points, or UTF-16 units) of a text and in bytes. The text must live as long as the index. */
typedef struct OffsetIndex {
    const char *text;
    size_t size;
    bool utf16;
    size_t units;        /* in all */
    ARRAY(size_t) bytes; /* byte offset of a character now and then, rising */
    ARRAY(size_t) marks; /* and its unit */
} OffsetIndex;
void offset_index_build(OffsetIndex *index, const char *text, size_t size, bool utf16); /* text: valid UTF-8; keeps the memory */
void offset_index_free(OffsetIndex *index);
/* False beyond the text's end, or within a character. */
bool offset_index_byte(const OffsetIndex *index, int64_t unit, size_t *byte);
size_t offset_index_unit(const OffsetIndex *index, size_t byte); /* byte: where a character begins, or the end */

/* The records of a JSON file, one at a time: those of a top-level array, or one a line. */
typedef struct CorpusRecords CorpusRecords;
NODISCARD Status corpus_records_open(CorpusRecords **records, const char *path, bool array, Diagnostic *diagnostic);
void corpus_records_close(CorpusRecords **records);
/* *record is destroyed by the caller; NULL at the end. After a record that is not JSON, in files of one record a line, reading may go on.
 * *line, *column: where the record begins. */
NODISCARD Status corpus_records_next(CorpusRecords *records, Json **record, long *line, long *column, Diagnostic *diagnostic);
void corpus_records_progress(const CorpusRecords *records, uint64_t *bytes_done, uint64_t *bytes_total);
int64_t corpus_records_number(const CorpusRecords *records); /* of the last record, from 1 */

#endif
