/* RFC 4180 and what is met in the wild, by the record. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "shard/corpus.h"
#include "shard/csv.h"

/* All records: "field|field;field|field;", a blank line as ";", up to the end or an error: "... !line:column part". */
static char *records_of(const char *folder, const char *bytes, size_t size)
{
    char *path = scratch_write_bytes(folder, "a.csv", bytes, size);
    CsvFile *file = NULL;
    CsvRecord record = {0};
    Diagnostic diagnostic = {0};
    Text seen = {0};
    bool more = true;
    must(csv_open(&file, path, &diagnostic), &diagnostic);
    while (csv_next(file, &record, &more, &diagnostic) == STATUS_OK && more) {
        for (size_t i = 0; i < record.fields.count; i++) {
            const CsvField *field = &record.fields.items[i];
            assert_true(field->start + field->size <= record.bytes.size && field->line >= 1 && field->column >= 1);
            text_format(&seen, "%s%.*s", i ? "|" : "", (int)field->size, record.bytes.bytes + field->start);
        }
        assert_int_equal(record.blank,
                         record.fields.count == 1 && record.fields.items[0].size == 0 && !record.fields.items[0].quoted);
        text_append_string(&seen, ";");
    }
    if (diagnostic.message[0])
        text_format(&seen, " !%ld:%ld %s", diagnostic.input_line, diagnostic.input_column, diagnostic.message);
    csv_close(&file);
    csv_record_free(&record);
    free(path);
    return text_take(&seen);
}

static void well_formed_files_give_their_fields(void **state)
{
    static const struct {
        const char *text, *records;
    } cases[] = {
        {"", ""},
        {"a,b,c\n1,2,3\n", "a|b|c;1|2|3;"},
        {"a,b,c\r\n1,2,3\r\n", "a|b|c;1|2|3;"},
        {"a,b,c\n1,2,3", "a|b|c;1|2|3;"},                             /* no line end behind the last record */
        {"a,b\r\n1,2\n3,4\r\n", "a|b;1|2;3|4;"},                      /* both line ends in one file */
        {"first,last\nJo,\"Doe, Jr.\"\n", "first|last;Jo|Doe, Jr.;"}, /* a comma in quotes */
        {"a,b\n1,\"ha \"\"ha\"\" ha\"\n", "a|b;1|ha \"ha\" ha;"},     /* quotes in quotes */
        {"a,b\n1,\"\"\n\"\",2\n", "a|b;1|;|2;"},                      /* quoted nothing */
        {"a,b\n1,\n,2\n,\n", "a|b;1|;|2;|;"},                         /* nothing */
        {"a,b\n\"x\ny\",1\n", "a|b;x\ny|1;"},                         /* line ends in quotes */
        {"a,b\n\"x\r\ny\",1\n", "a|b;x\r\ny|1;"},
        {"a,b\n\"x\ry\",1\n", "a|b;x\ry|1;"},
        {"a,b\n\"\"\"x\n\"\"\",\"\"\"\"\n", "a|b;\"x\n\"|\";"},         /* quotes and line ends */
        {"k,v\n1,\"{\"\"t\"\": [1, 2]}\"\n", "k|v;1|{\"t\": [1, 2]};"}, /* JSON */
        {"a,b\n1,\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\n", "a|b;1|\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80;"},
        {"a\n\n\n1\n", "a;;;1;"},             /* blank lines */
        {"\"\"\n", ";"},                      /* a record of one empty field is no blank line */
        {" a , b\n\t,c \n", " a | b;\t|c ;"}, /* white space belongs to the field */
        {"\xEF\xBB\xBF"
         "a,b\n",
         "a|b;"},
        {"\xEF\xBB\xBF\"a\",b\n", "a|b;"},
        {"a,\"b\"\r", "a|b;"}, /* a file that ends within its line end */
        {"'a,b'\n", "'a|b';"}, /* apostrophes quote nothing */
        {"a;b\n", "a;b;"},
        {"\"a\",\"b\"", "a|b;"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *seen = records_of(*state, cases[i].text, strlen(cases[i].text));
        if (strcmp(seen, cases[i].records) != 0)
            fail_msg("case %zu: %s", i, seen);
        free(seen);
    }
}

static void malformed_files_are_refused_at_their_place(void **state)
{
    static const struct {
        const char *text;
        size_t size; /* 0: to the end */
        const char *seen;
    } cases[] = {
        {"a\n\"b\n", 0, "a; !2:1 the quoted field that begins here is not closed"},
        {"a\nb,\"", 0, "a; !2:3 the quoted field that begins here is not closed"},
        {"\"a\"b\n", 0, " !1:4 expected a comma"},
        {"\"a\" ,b\n", 0, " !1:4 expected a comma"},
        {"\"a\"\"\n", 0, " !1:1 the quoted field that begins here is not closed"},
        {"\"\"\"\n", 0, " !1:1 the quoted field that begins here is not closed"},
        {"a\"b\n", 0, " !1:2 a quote in a field without quotes"},
        {"a, \"b\"\n", 0, " !1:4 a quote in a field without quotes"},
        {"a,b\rc,d\r", 0, " !1:4 a carriage return without a line feed"},
        {"a\r\r\n", 0, " !1:2 a carriage return without a line feed"},
        {"\"a\"\rb\n", 0, " !1:4 expected a comma"},
        {"a\nb\0c\n", 6, "a; !2:1 byte 0x00"},
        {"a\n\"b\0\"\n", 7, "a; !2:1 byte 0x00"},
        {"\0", 1, " !1:1 byte 0x00"},
        {"a,\xC0\xAF\n", 0, " !1:3 byte 0xC0"},
        {"a,\"\xED\xA0\x80\"\n", 0, " !1:3 byte 0xED"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *seen = records_of(*state, cases[i].text, cases[i].size ? cases[i].size : strlen(cases[i].text));
        if (strncmp(seen, cases[i].seen, strlen(cases[i].seen)) != 0)
            fail_msg("case %zu: %s", i, seen);
        free(seen);
    }
}

static void records_without_end_are_refused_in_bounded_memory(void **state)
{
    size_t size = (size_t)4 * CORPUS_LINE_LIMIT;
    char *text = memory_allocate(size, 1);
    memset(text, 'x', size);
    for (int quoted = 0; quoted < 2; quoted++) {
        text[0] = quoted ? '"' : 'x';
        char *seen = records_of(*state, text, size);
        must_contain(seen, " !1:1 the record is too long");
        free(seen);
    }
    memset(text, ',', size);
    char *seen = records_of(*state, text, size);
    must_contain(seen, "more than 256 fields");
    free(seen);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(well_formed_files_give_their_fields, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(malformed_files_are_refused_at_their_place, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(records_without_end_are_refused_in_bounded_memory, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
