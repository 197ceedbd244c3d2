#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/core/base/support.h"

char *scratch_make(void)
{
    char *folder = strdup(NERSWEEP_BINARY_DIR "/tests/scratch-XXXXXX");
    assert_non_null(folder);
    assert_non_null(mkdtemp(folder));
    return folder;
}

static int remove_one(const char *path, const struct stat *found, int kind, struct FTW *place)
{
    (void)found;
    (void)kind;
    (void)place;
    return remove(path);
}

void scratch_remove(char **folder)
{
    assert_int_equal(nftw(*folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(*folder);
    *folder = NULL;
}

const char *scratch_path(const char *folder, const char *name)
{
    static char paths[8][4096];
    static size_t next;
    char *path = paths[next++ % 8];
    assert_true(snprintf(path, sizeof paths[0], "%s/%s", folder, name) < (int)sizeof paths[0]);
    return path;
}

void scratch_write(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

char *scratch_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("no file %s", path);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long end = ftell(file);
    rewind(file);
    char *bytes = calloc(1, (size_t)end + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)end, file), end);
    fclose(file);
    *size = (size_t)end;
    return bytes;
}

size_t scratch_count(const char *folder, const char *part)
{
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += strstr(entry->d_name, part) != NULL;
    closedir(directory);
    return count;
}

static int wait_for(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void quiet_child(void)
{
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    int nothing = open("/dev/null", O_WRONLY);
    dup2(nothing, STDERR_FILENO);
}

int child_run(const char *const *arguments, const char *fault, const char *fault_log)
{
    char program[4096];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    assert_true(length > 0);
    program[length] = '\0';
    char *all[16] = {program};
    for (int i = 0; arguments[i]; i++) {
        assert_true(i < 14);
        all[i + 1] = (char *)(uintptr_t)arguments[i];
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        quiet_child();
        if (fault)
            setenv("NERSWEEP_FAULT", fault, 1);
        if (fault_log)
            setenv("NERSWEEP_FAULT_LOG", fault_log, 1);
        execv(program, all);
        _exit(127);
    }
    return wait_for(child);
}

bool aborts(void (*function)(void *context), void *context)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        quiet_child();
        signal(SIGABRT, SIG_DFL);
        function(context);
        _exit(0);
    }
    return wait_for(child) == 1000 + SIGABRT;
}

void check_status(Status status, Status wanted, const Diagnostic *diagnostic, const char *file, int line)
{
    if (status == wanted)
        return;
    char text[2048] = "";
    if (diagnostic && status != STATUS_OK)
        diagnostic_format(diagnostic, text, sizeof text);
    print_error("expected \"%s\", got \"%s\": %s\n", status_name(wanted), status_name(status), text);
    _fail(file, line);
}
