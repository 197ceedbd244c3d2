/* Inside coordinator/ only: who has come to a rung of early termination, in order. A million may, so they lie in blocks of a few hundred: adding
 * one moves one block, and what is asked of all looks at blocks. */
#ifndef NERSWEEP_COORDINATOR_RUNG_H
#define NERSWEEP_COORDINATOR_RUNG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/memory.h"

typedef struct RungEntry {
    double value; /* the best first: of the median rule the running average, else the best score */
    double best;
    uint32_t configuration;
    bool promoted; /* else it waits */
} RungEntry;

enum { RUNG_BLOCK_ENTRIES = 256 };

typedef struct RungBlock {
    RungEntry *entries; /* [RUNG_BLOCK_ENTRIES], of which count are there: 1 at least */
    uint32_t count, waiting;
} RungBlock;

/* Zero-initialised is empty. By falling value, the earlier configuration first. */
typedef struct Rung {
    ARRAY(RungBlock) blocks;
    size_t count;
} Rung;

void rung_free(Rung *rung);
/* Entries that were found before may be elsewhere afterwards. */
void rung_add(Rung *rung, RungEntry entry);
/* The entry of a configuration with this value, or NULL. */
RungEntry *rung_find(const Rung *rung, uint32_t configuration, double value);
void rung_promote(Rung *rung, RungEntry *entry);
/* The first that waits, and how many stand before it; or NULL. */
const RungEntry *rung_first_waiting(const Rung *rung, size_t *rank);
/* How many stand before an entry of the rung. */
size_t rung_rank(const Rung *rung, const RungEntry *entry);
/* The entry before which `rank` (< count) stand. */
const RungEntry *rung_at(const Rung *rung, size_t rank);

#endif
