/* A backend that measures another one: calls, time, floating-point operations and bytes of each operation, without a call site knowing.
 *
 * profile_attach puts itself between a device and its users. An operation takes from its call to its return where it runs when it is called,
 * which is taken to be so where the host can reach device memory; elsewhere the stream is synchronised before and after each operation, so that
 * the sum of times is right and what would have overlapped does not. Results are the same bits. Where nothing is attached nothing is paid.
 *
 * What is counted. FLOP: additions and multiplications of the formulas in kernels/backend.h (of products 2 rows n k; of attention 4 d L^2
 * forward and 10 d L^2 backward for each sequence of L pieces, the probabilities once more included; of the rest a number per element, a
 * function such as exp, erf or sqrt counting as one). Bytes: every operand read once and every result written once, whatever is read again
 * or found in a cache. A matrix of bf16 numbers that was refreshed is made from its master by the first product after it (a backend may do so when
 * refreshed, or then): those bytes are that product's. */
#ifndef NERSWEEP_KERNELS_PROFILE_H
#define NERSWEEP_KERNELS_PROFILE_H

#include "core/base/clock.h"
#include "kernels/backend.h"

/* X(operation, name of its slot) */
#define PROFILE_OPERATION_LIST(X)                       \
    X(COPY_TO_DEVICE, "copy_to_device")                 \
    X(COPY_TO_HOST, "copy_to_host")                     \
    X(COPY, "copy")                                     \
    X(FILL_ZERO, "fill_zero")                           \
    X(CONVERT, "convert")                               \
    X(MATRIX_REFRESH, "matrix_refresh")                 \
    X(MATRIX_SETTLE, "matrix_settle")                   \
    X(EMBEDDING_FORWARD, "embedding_forward")           \
    X(EMBEDDING_BACKWARD, "embedding_backward")         \
    X(NORM_FORWARD, "norm_forward")                     \
    X(NORM_BACKWARD, "norm_backward")                   \
    X(LINEAR_FORWARD, "linear_forward")                 \
    X(LINEAR_BACKWARD_INPUT, "linear_backward_input")   \
    X(LINEAR_BACKWARD_WEIGHT, "linear_backward_weight") \
    X(ATTENTION_FORWARD, "attention_forward")           \
    X(ATTENTION_BACKWARD, "attention_backward")         \
    X(ROWS_GATHER, "rows_gather")                       \
    X(ROWS_SCATTER, "rows_scatter")                     \
    X(CROSS_ENTROPY, "cross_entropy")                   \
    X(ADD, "add")                                       \
    X(SUM_OF_SQUARES, "sum_of_squares")                 \
    X(ADAMW, "adamw")                                   \
    X(ADAMW_MATRIX, "adamw_matrix")                     \
    X(ADAMW_ROWS, "adamw_rows")                         \
    X(ADAMW_LATE, "adamw_late")                         \
    X(SYNCHRONIZE, "stream_synchronize")

typedef enum ProfileOperation {
#define PROFILE_ENUM(operation, name) PROFILE_##operation,
    PROFILE_OPERATION_LIST(PROFILE_ENUM)
#undef PROFILE_ENUM
        PROFILE_OPERATION_COUNT
} ProfileOperation;
const char *profile_operation_name(ProfileOperation operation);

/* All calls of one operation in one section on one shape of matrix. */
typedef struct ProfileEntry {
    int32_t section;
    ProfileOperation operation;
    int32_t n, k;    /* of the matrix of a linear layer; 0 elsewhere */
    DeviceType type; /* of its operands */
    int64_t calls, time_ns;
    double flop, bytes;
} ProfileEntry;

/* Used by one thread at a time. */
typedef struct Profile Profile;

/* Takes over an opened device: afterwards *backend and *device are those of the profile, and closing *device closes the one within and frees
 * the profile. The device has no streams, buffers or matrices yet. clock must outlive it. Errors: as buffer_create; all is as it was. */
NODISCARD Status profile_attach(Profile **profile, const Backend **backend, BackendDevice **device, const Clock *clock,
                                Diagnostic *diagnostic);

/* Sections are what the caller does: numbers of its own below PROFILE_SECTION_LIMIT, 0 at first. Operations are counted by section, and what
 * time passes in a section outside of operations is that section's. Returns the section before. profile may be NULL: nothing happens. */
enum { PROFILE_SECTION_LIMIT = 16 };
int32_t profile_enter(Profile *profile, int32_t section);

/* Forgets what a section has so far, of which profile_enter was called since: of work that says nothing of what follows. profile may be NULL. */
void profile_forget(Profile *profile, int32_t section);

/* Time in a section that no operation covers, until the last profile_enter. */
int64_t profile_section_ns(const Profile *profile, int32_t section);
/* In the order of their first calls; they live until the next operation. */
size_t profile_entries(const Profile *profile, const ProfileEntry **entries);
/* Whether the stream is synchronised around each operation. */
bool profile_synchronizes(const Profile *profile);

#endif
