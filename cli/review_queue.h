/* Texts that a person is to look at, in a file of an annotation tool's format, which appears when it is whole. */
#ifndef NERSWEEP_CLI_REVIEW_QUEUE_H
#define NERSWEEP_CLI_REVIEW_QUEUE_H

#include "cli/prediction_json.h"

typedef enum ReviewFormat { REVIEW_PRODIGY, REVIEW_LABELSTUDIO } ReviewFormat;

enum { REVIEW_SORTED_BYTES = 1 << 26 }; /* of records that are held to be sorted */

typedef struct ReviewQueue ReviewQueue;
/* sorted_bytes: 0 for REVIEW_SORTED_BYTES. */
NODISCARD Status review_queue_begin(ReviewQueue **queue, const char *path, ReviewFormat format, size_t sorted_bytes,
                                    Diagnostic *diagnostic);
/* All entities of the text go with it, those that are sure as well. */
NODISCARD Status review_queue_add(ReviewQueue *queue, const PredictedText *predicted, Diagnostic *diagnostic);
int64_t review_queue_count(const ReviewQueue *queue);
/* Lowest confidence first, and in the order of the input where it is equal; *sorted is false, and all is in the order of the input, where
 * there was more than may be held. *queue becomes NULL in any case. */
NODISCARD Status review_queue_commit(ReviewQueue **queue, bool *sorted, Diagnostic *diagnostic);
void review_queue_abandon(ReviewQueue **queue);

#endif
