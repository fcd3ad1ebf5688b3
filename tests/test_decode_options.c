/* test_decode_options.c -- the decode loop's command line: every option, every way to get it wrong.
 */
#include "test.h"

#include "../examples/decode/options.h"

enum { MOST_ARGUMENTS = 12 };

/* Parses words separated by '|'. */
static int parse(const char *line, options *o, char *err, size_t errlen)
{
    static char words[512];
    char *argv[MOST_ARGUMENTS] = {words};
    int argc = 1;
    snprintf(words, sizeof words, "program|%s", line);
    for (char *at = words; *at && argc < MOST_ARGUMENTS; at++) {
        if (*at != '|') continue;
        *at = 0;
        argv[argc++] = at + 1;
    }
    if (line[0] == 0) argc = 1;
    err[0] = 0;
    return options_parse(o, argc, argv, err, errlen);
}

static void check_defaults(void)
{
    options o;
    char err[256];
    CHECK(parse("", &o, err, sizeof err) == 0, "no option: %s", err);
    CHECK(o.model == NULL && o.prompt_count == 0 && o.n_predict == 256 && o.ctx_size == 0 &&
              o.threads == 0 && o.seed == 1 && o.page_size == 16 && o.last_tokens == 0,
          "defaults");
    CHECK(o.cache_type == CACHE_F16, "the default cache is f16");
    CHECK(bits_of_float(o.temp) == 0 && bits_of_float(o.top_p) == bits_of_float(1.0f), "sampler");
    CHECK(!o.chat && !o.ids && !o.quiet && !o.version && !o.help && !o.parse_special, "flags");
    options_free(&o);
}

static void check_values(void)
{
    options o;
    char err[256];
    CHECK(parse("-m|x.gguf|-p|a|--file|b|--prompt|c|-n|-1|-c|0|--threads|3|-s|42", &o, err,
                sizeof err) != 0,
          "one word too many must be cut by this test");
    options_free(&o);
    CHECK(parse("-m|x.gguf|-p|a|--file|b|--prompt=c|-n|-1|--quiet", &o, err, sizeof err) == 0, "%s",
          err);
    CHECK(strcmp(o.model, "x.gguf") == 0 && o.n_predict == -1 && o.quiet, "values");
    CHECK(o.prompt_count == 3 && !o.prompts[0].is_file && o.prompts[1].is_file &&
              !o.prompts[2].is_file && strcmp(o.prompts[2].value, "c") == 0,
          "prompts in the order given");
    options_free(&o);
    CHECK(parse("--temp|0.5|--top-p|0.25|--cache-type|int8|--page-size=64|--last-tokens|7", &o, err,
                sizeof err) == 0,
          "%s", err);
    CHECK(bits_of_float(o.temp) == bits_of_float(0.5f) &&
              bits_of_float(o.top_p) == bits_of_float(0.25f) && o.cache_type == CACHE_INT8 &&
              o.page_size == 64 && o.last_tokens == 7,
          "values");
    options_free(&o);
    CHECK(parse("-s|4294967295|--ids|--chat|--parse-special|-c|4096|-t|2", &o, err, sizeof err) ==
              0,
          "%s", err);
    CHECK(o.seed == 4294967295 && o.ids && o.chat && o.parse_special && o.ctx_size == 4096 &&
              o.threads == 2,
          "values");
    options_free(&o);
}

/* Each line is refused, and the message names the option and what was expected. */
static void check_refusals(void)
{
    static const struct {
        const char *line, *named, *said;
    } rows[] = {
        {"--no-such-option", "--no-such-option", "unknown"},
        {"file.txt", "file.txt", "unknown"},
        {"-n", "--n-predict", "missing"},
        {"--tokenize", "--tokenize", "missing"},
        {"--ids=1", "--ids=1", "unknown"},
        {"-n|-2", "--n-predict", "-1 to"},
        {"-n|3x", "--n-predict", "3x"},
        {"-n|", "--n-predict", "whole number"},
        {"-n|99999999999999999999", "--n-predict", "99999999999999999999"},
        {"-t|0", "--threads", "1 to 1024"},
        {"-t|-1", "--threads", "1 to 1024"},
        {"-t|100000", "--threads", "1 to 1024"},
        {"-c|-1", "--ctx-size", "0 to"},
        {"-c|9999999999", "--ctx-size", "0 to"},
        {"-s|-2", "--seed", "-1 to"},
        {"--temp|-0.1", "--temp", "from 0"},
        {"--temp|nan", "--temp", "from 0"},
        {"--temp|inf", "--temp", "from 0"},
        {"--temp|hot", "--temp", "hot"},
        {"--top-p|0", "--top-p", "above 0"},
        {"--top-p|1.5", "--top-p", "at most 1"},
        {"--top-p|-1", "--top-p", "above 0"},
        {"--page-size|0", "--page-size", "1 to 4096"},
        {"--page-size|-16", "--page-size", "1 to 4096"},
        {"--page-size|4097", "--page-size", "1 to 4096"},
        {"--cache-type|q8_0", "--cache-type", "f32, f16, bf16, int8, fp8 or int4"},
        {"--cache-type|", "--cache-type", "f32, f16, bf16, int8, fp8 or int4"},
        {"--last-tokens|0", "--last-tokens", "1 to"},
        {"--tokenize|a|--perplexity|b", "--perplexity", "only one"},
        {"--tokenize|a|-p|b", "--tokenize", "no -p"},
        {"--perplexity|a|-f|b", "--perplexity", "no -p"},
        {"--perplexity|a|-c|1", "--ctx-size", "at least 2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        options o;
        char err[256];
        CHECK(parse(rows[i].line, &o, err, sizeof err) == -1, "'%s' was accepted", rows[i].line);
        CHECK(strstr(err, rows[i].named) && strstr(err, rows[i].said), "'%s' gives '%s'",
              rows[i].line, err);
        options_free(&o);
    }
}

/* Every row of the table is in the help text, and no message is longer than its room. */
static void check_help(void)
{
    char text[8192] = "", err[8];
    options o;
    FILE *out = tmpfile();
    if (!CHECK(out != NULL, "no temporary file")) return;
    options_usage(out, "program");
    rewind(out);
    size_t size = fread(text, 1, sizeof text - 1, out);
    fclose(out);
    text[size] = 0;
    for (int i = 0; i < OPTION_ROWS; i++) {
        CHECK(strstr(text, option_rows[i].name), "%s is not in the help", option_rows[i].name);
        CHECK(strstr(text, option_rows[i].help), "the help of %s", option_rows[i].name);
    }
    CHECK(parse("--no-such-option", &o, err, sizeof err) == -1 && strlen(err) < sizeof err,
          "a short buffer");
    options_free(&o);
}

int main(void)
{
    test_begin("test_decode_options", 1e9);
    check_defaults();
    check_values();
    check_refusals();
    check_help();
    return test_end();
}
