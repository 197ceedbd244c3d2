/* Files of a Hugging Face style hub: GET ENDPOINT/REPOSITORY/resolve/REVISION/FILE. Each file is resumed where it was left, tried again
 * when the server or the network fails, and appears under its name only when its size and its hash are right. */
#ifndef NERSWEEP_CLI_HUB_H
#define NERSWEEP_CLI_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/status.h"

typedef struct HubSource {
    const char *endpoint;   /* "https://host", no slash at the end */
    const char *repository; /* "owner/name" or "name" */
    const char *revision;   /* branch, tag or commit */
    const char *token;      /* NULL: none. Sent to the endpoint alone, never along a redirect */
} HubSource;

typedef struct HubSettings {
    int retries;          /* of one file, after failures that may pass */
    double retry_delay_s; /* before the first; doubled each time, up to a minute */
    int timeout_s;        /* with next to nothing coming */
    const volatile int *interrupted;
} HubSettings;

typedef struct Hub Hub;
/* STATUS_USAGE when endpoint, repository, revision or token cannot be one. What source points to must outlive the hub. */
NODISCARD Status hub_open(Hub **hub, const HubSource *source, const HubSettings *settings, Diagnostic *diagnostic);
void hub_close(Hub **hub);

/* Puts the file into the folder, unless it is there already (from an earlier call, checked then). Meanwhile NAME.part and NAME.part.json stand
 * there, and stay after a failure, to go on from. *found is false when the hub has no such file; a repository or revision that is not
 * there is STATUS_NOT_FOUND. */
NODISCARD Status hub_fetch_file(Hub *hub, const char *name, const char *folder, uint64_t size_limit, bool *found,
                                Diagnostic *diagnostic);

/* The commit that the files came from, as the hub says; "" when it does not. All files of one hub are of one commit: a revision that moves on
 * in between is STATUS_BUSY. */
const char *hub_commit(const Hub *hub);
/* For files from an earlier run. */
void hub_set_commit(Hub *hub, const char *commit);

#endif
