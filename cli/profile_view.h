/* The profile of a training run (profile.json, worker/profile_report.h) as a table for people. */
#ifndef NERSWEEP_CLI_PROFILE_VIEW_H
#define NERSWEEP_CLI_PROFILE_VIEW_H

#include <stdio.h>

#include "core/io/json.h"

/* width: of the terminal, 0 for no limit. */
void profile_view_print(const Json *profile, FILE *stream, int width, bool colours);

#endif
