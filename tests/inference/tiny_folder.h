/* Whole model folders of random weights for the tests of prediction. */
#ifndef NERSWEEP_TESTS_INFERENCE_TINY_FOLDER_H
#define NERSWEEP_TESTS_INFERENCE_TINY_FOLDER_H

#include "tests/model/support.h"

enum { TINY_POSITIONS = 64 };
extern const char *const TINY_LABELS[]; /* O and B-, I- of LOC and PER */
enum { TINY_LABEL_COUNT = 5 };

/* A fresh folder: vocabulary of printable ASCII characters (alone and as "##") and the words ka .. kz, lower-cased; words rule treebank,
 * windows of 64 pieces, stride 8. context_free: the label of a piece depends on the piece alone. The caller frees the path. */
char *tiny_folder_make(const char *name, bool context_free);

/* Writes (or with NULL removes) a file of the folder. */
void tiny_folder_write(const char *folder, const char *name, const char *text);
/* Replaces the first `old` of a file by `new`; fails the test when there is none. */
void tiny_folder_edit(const char *folder, const char *name, const char *old, const char *new);

#endif
