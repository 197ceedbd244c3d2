/* Inside coordinator/ only: the training options of a trial, kept as what differs from those of the first one. A sweep's trials differ in few of
 * some forty options, and there may be a million of them. */
#ifndef NERSWEEP_COORDINATOR_OPTIONS_PATCH_H
#define NERSWEEP_COORDINATOR_OPTIONS_PATCH_H

#include "core/base/memory.h"

/* Replaces patch by the one that makes text out of base; both are options as canonical JSON, but any text comes back. */
void options_patch_make(const char *base, const char *text, Text *patch);
/* The caller frees it. */
char *options_patch_apply(const char *base, const char *patch);

#endif
