#include "tests/coordinator/fixtures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io/file.h"

static char folder[64];

const char fixture_head[] = "name: tiny\n"
                            "model: model\n"
                            "data: {train: train.conll, dev: {main: dev.conll}, test: test.conll, max_seq_length: 128}\n";

void fixture_write(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

void fixture_enter(void)
{
    snprintf(folder, sizeof folder, "/tmp/nersweep-coordinator-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(folder_create(file_system_posix(), "model", NULL), STATUS_OK);
    fixture_write("model/config.json", "{}");
    fixture_write("train.conll", "Ann B-PER\n");
    fixture_write("dev.conll", "Bob B-PER\n");
    fixture_write("test.conll", "Cid B-PER\n");
}

void fixture_leave(void)
{
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(folder_remove_tree(folder, NULL), STATUS_OK);
}

int fixture_set_up(void **state)
{
    (void)state;
    fixture_enter();
    return 0;
}

int fixture_tear_down(void **state)
{
    (void)state;
    fixture_leave();
    return 0;
}

const char *fixture_folder(void)
{
    return folder;
}

Sweep *fixture_sweep(const char *text)
{
    Sweep *sweep = NULL;
    Diagnostic diagnostic = {0};
    char *whole = memory_format("%s%s", fixture_head, text);
    fixture_write("sweep.yaml", whole);
    free(whole);
    if (sweep_read(&sweep, "sweep.yaml", NULL, 0, NULL, &diagnostic) != STATUS_OK)
        fail_msg("sweep.yaml:%ld:%ld: %s", diagnostic.input_line, diagnostic.input_column, diagnostic.message);
    return sweep;
}
