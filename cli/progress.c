#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "core/base/clock.h"

enum { BAR_WIDTH = 30 };

static int64_t now_ns(void)
{
    return clock_system()->monotonic_ns(clock_system()->context);
}

void progress_begin(Progress *progress, const char *title)
{
    *progress = (Progress){.title = title, .started_ns = now_ns(), .terminal = isatty(STDERR_FILENO)};
    progress->shown_ns = progress->started_ns;
}

void progress_show(Progress *progress, uint64_t done, uint64_t total, const char *detail)
{
    int64_t now = now_ns(), pause_ns = progress->terminal ? 100000000 : 5000000000;
    if (now - progress->shown_ns < pause_ns)
        return;
    progress->shown_ns = now;
    progress->shown = true;
    double share = total ? (double)done / (double)total : 0, elapsed_s = (double)(now - progress->started_ns) * 1e-9;
    double left_s = share > 0 ? elapsed_s * (1 - share) / share : 0;
    if (!progress->terminal) {
        fprintf(stderr, "%s: %.0f%%, %.0f s left%s%s\n", progress->title, share * 100, left_s, detail ? ", " : "",
                detail ? detail : "");
        return;
    }
    char bar[BAR_WIDTH + 1];
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < (int)(share * BAR_WIDTH + 0.5) ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r\033[K%s [%s] %3.0f%% %.0f s left%s%s", progress->title, bar, share * 100, left_s, detail ? "  " : "",
            detail ? detail : "");
}

void progress_end(Progress *progress)
{
    if (progress->terminal && progress->shown)
        fprintf(stderr, "\r\033[K");
}
