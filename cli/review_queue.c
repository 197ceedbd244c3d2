#include "cli/review_queue.h"

#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"

typedef struct Record {
    double confidence;
    int64_t number;
    char *text; /* JSON */
} Record;

struct ReviewQueue {
    ReviewFormat format;
    FileWriter *file;
    size_t sorted_bytes, held_bytes;
    bool streaming; /* too much to sort: written as it comes */
    ARRAY(Record) held;
    int64_t count, written;
};

Status review_queue_begin(ReviewQueue **queue, const char *path, ReviewFormat format, size_t sorted_bytes, Diagnostic *diagnostic)
{
    ReviewQueue *begun = memory_allocate(1, sizeof *begun);
    begun->format = format;
    begun->sorted_bytes = sorted_bytes ? sorted_bytes : REVIEW_SORTED_BYTES;
    *queue = begun;
    Status status = file_writer_begin(&begun->file, file_system_posix(), path, diagnostic);
    if (status != STATUS_OK)
        review_queue_abandon(queue);
    return status;
}

void review_queue_abandon(ReviewQueue **queue)
{
    ReviewQueue *ended = *queue;
    *queue = NULL;
    if (!ended)
        return;
    for (size_t i = 0; i < ended->held.count; i++)
        free(ended->held.items[i].text);
    array_free(&ended->held);
    file_writer_abandon(&ended->file);
    free(ended);
}

int64_t review_queue_count(const ReviewQueue *queue)
{
    return queue->count;
}

static Status append(ReviewQueue *queue, const char *text, Diagnostic *diagnostic)
{
    return file_writer_append(queue->file, text, strlen(text), diagnostic);
}

/* An array of tasks for Label Studio, a line each for Prodigy. */
static Status record_write(ReviewQueue *queue, const char *text, Diagnostic *diagnostic)
{
    bool array = queue->format == REVIEW_LABELSTUDIO;
    Status status = STATUS_OK;
    if (array)
        TRY(append(queue, queue->written == 0 ? "[\n" : ",\n", diagnostic));
    TRY(append(queue, text, diagnostic));
    if (!array)
        TRY(append(queue, "\n", diagnostic));
    queue->written++;
out:
    return status;
}

/* Everything that is held, in the order in which it stands. */
static Status held_write(ReviewQueue *queue, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    for (size_t i = 0; i < queue->held.count; i++) {
        if (status == STATUS_OK)
            status = record_write(queue, queue->held.items[i].text, diagnostic);
        free(queue->held.items[i].text);
    }
    queue->held.count = 0;
    return status;
}

Status review_queue_add(ReviewQueue *queue, const PredictedText *predicted, Diagnostic *diagnostic)
{
    PredictedText all = *predicted;
    all.rule = NULL;
    Json *json = queue->format == REVIEW_LABELSTUDIO ? prediction_labelstudio(&all) : prediction_prodigy(&all);
    Record record = {confidence_of(predicted->prediction), queue->count++, json_text(json, JSON_COMPACT)};
    json_destroy(&json);
    queue->held_bytes += strlen(record.text) + sizeof record;
    array_push(&queue->held, record);
    queue->streaming = queue->streaming || queue->held_bytes > queue->sorted_bytes;
    return queue->streaming ? held_write(queue, diagnostic) : STATUS_OK;
}

static int compare_records(const void *a, const void *b)
{
    const Record *left = a, *right = b;
    if (left->confidence != right->confidence)
        return left->confidence < right->confidence ? -1 : 1;
    return left->number < right->number ? -1 : left->number > right->number;
}

Status review_queue_commit(ReviewQueue **queue, bool *sorted, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ReviewQueue *ended = *queue;
    *sorted = !ended->streaming;
    if (ended->held.count > 0)
        qsort(ended->held.items, ended->held.count, sizeof *ended->held.items, compare_records);
    TRY(held_write(ended, diagnostic));
    if (ended->format == REVIEW_LABELSTUDIO)
        TRY(append(ended, ended->written == 0 ? "[]\n" : "\n]\n", diagnostic));
    TRY(file_writer_commit(&ended->file, diagnostic));
out:
    review_queue_abandon(queue);
    return status;
}
