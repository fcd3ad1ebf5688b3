/* The tokenizer and the chats of the decode loop, on small vocabularies made here. */
#include "../examples/decode/tokenizer_gguf.h"
#include "tokenizer_cases.h"
#include "tokenizer_small.h"

/* ---- Unicode ---- */

static void test_unicode(void)
{
    static const char *const bad[] = {"\x80",
                                      "\xc3",
                                      "\xc3(",
                                      "\xe2\x82",
                                      "\xf0\x9f\x98",
                                      "\xff",
                                      "\xf8\x88\x80\x80\x80",
                                      "\xf4\x90\x80\x80"};
    uint32_t code, alphabet[256];
    int round = 1, bytes = 1;
    for (uint32_t c = 0; c <= 0x10ffff; ++c) {
        char text[4];
        size_t size = unicode_write(c, text);
        round &= unicode_read(text, size, &code) == size && code == c;
    }
    check(round, "UTF-8 does not come back");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        check(unicode_read(bad[i], strlen(bad[i]), &code) == 1 && code == UNICODE_REPLACEMENT,
              "bad sequence %zu is not one replaced byte", i);
    unicode_byte_alphabet(alphabet);
    for (int i = 0; i < 256; ++i) bytes &= unicode_byte_of(alphabet[i]) == i;
    check(bytes && alphabet[' '] == 0x120 && alphabet['\n'] == 0x10a && alphabet[0xad] == 0x143,
          "the byte alphabet is wrong");
    check(unicode_byte_of(0x20) == -1 && unicode_byte_of(0x144) == -1, "a byte for no character");
    check(unicode_class_of(0x10ffff) == UNICODE_OTHER && unicode_class_of(0x1c) == UNICODE_OTHER &&
              unicode_class_of(0x85) == UNICODE_SPACE &&
              unicode_class_of(0x2167) == UNICODE_NUMBER &&
              unicode_class_of(0x31350) == UNICODE_LETTER &&
              unicode_class_of('_') == UNICODE_PUNCTUATION &&
              unicode_class_of('$') == UNICODE_OTHER && unicode_class_of(0x301) == UNICODE_OTHER,
          "a class is wrong");
}

/* A text in pieces of every size comes out whole, and never in the middle of a character. */
static void test_stream(void)
{
    static const char text[] = "a\xc3\xa9z \xe2\x82\xac \xf0\x9f\x98\x80 \xff\x80 \xc3( \xf0\x9f";
    size_t size = sizeof text - 1;
    check(!unicode_unfinished("a\xff", 2) && !unicode_unfinished("\xc0", 1),
          "bytes that lead nothing");
    for (size_t step = 1; step <= size; ++step) {
        unicode_stream stream = {{0}, 0};
        char out[64], all[64];
        size_t total = 0;
        int whole = 1;
        for (size_t at = 0; at < size; at += step) {
            size_t piece = size - at < step ? size - at : step;
            size_t count = unicode_stream_push(&stream, text + at, piece, out);
            whole &= unicode_unfinished(out, count) == 0;
            memcpy(all + total, out, count);
            total += count;
        }
        check(whole && stream.count == 2, "pieces of %zu: a character is cut", step);
        total += unicode_stream_flush(&stream, all + total);
        check(total == size && memcmp(all, text, size) == 0, "pieces of %zu: text is lost", step);
    }
}

/* ---- Words ---- */

static void test_words_of(const char *pre, const word_case *cases, size_t count)
{
    const pretokenizer_name *name = pretokenizer_find(text_of(pre));
    for (size_t i = 0; i < count; ++i) {
        uint32_t code[64];
        uint8_t kind[64];
        char words[256] = "";
        pretokenizer cut = {0};
        size_t size = strlen(cases[i].text), out = 0;
        for (size_t at = 0; at < size; ++cut.count) {
            at += unicode_read(cases[i].text + at, size - at, &code[cut.count]);
            kind[cut.count] = unicode_class_of(code[cut.count]);
        }
        cut.rules = name->rules;
        cut.code = code;
        cut.kind = kind;
        while (cut.at < cut.count) {
            size_t from = cut.at, end = pretokenizer_next(&cut);
            if (from > 0) words[out++] = '|';
            for (size_t k = from; k < end; ++k)
                out += unicode_write(code[k] == '\n' ? '~' : code[k], words + out);
        }
        words[out] = 0;
        check(strcmp(words, cases[i].words) == 0, "%s: \"%s\" is cut as %s, expected %s", pre,
              cases[i].text, words, cases[i].words);
    }
}

#define TEST_WORDS(pre, cases) test_words_of(pre, cases, sizeof cases / sizeof cases[0])

static void test_words(void)
{
    TEST_WORDS("gpt-2", gpt2_cases);
    TEST_WORDS("smollm", smollm_cases);
    TEST_WORDS("llama-bpe", llama3_cases);
    TEST_WORDS("qwen2", qwen2_cases);
    TEST_WORDS("default", default_cases);
}

/* ---- Byte-level BPE ---- */

static void test_bpe(void)
{
    static small s;
    tokenizer t;
    int32_t ab, bc, abc, aa, gap_a, xyz;
    small_start(&s, "gpt2", "gpt-2");
    bc = small_merge(&s, "b c");
    ab = small_merge(&s, "a b");
    abc = small_merge(&s, "ab c");
    aa = small_merge(&s, "a a");
    gap_a = small_merge(&s, "\xc4\xa0 a");
    small_merge(&s, "y z");
    xyz = small_merge(&s, "x yz");
    s.merges[s.spec.merge_count++] = text_of("b c"); /* again: the first rank holds */
    s.tokens[7] = text_of("no-bell");                /* byte 7 has no token now */
    small_create(&t, &s);
    EXPECT(&t, "abc", 0, 'a', bc);
    EXPECT(&t, "ab", 0, ab);
    EXPECT(&t, "xyzz", 0, xyz, 'z');
    EXPECT(&t, "ab cb", 0, ab, ' ', 'c', 'b');
    EXPECT(&t, "aaa", 0, aa, 'a');
    EXPECT(&t, "aaaa", 0, aa, aa);
    EXPECT(&t, "a a", 0, 'a', gap_a);
    EXPECT(&t, "x\ay", 0, 'x', 'y');
    EXPECT(&t, "\xc3\xa9", 0, 0xc3, 0xa9);
    EXPECT(&t, "\xff", 0, 0xef, 0xbf, 0xbd);
    EXPECT(&t, "a\xe2\x82", 0, 'a', 0xef, 0xbf, 0xbd, 0xef, 0xbf, 0xbd);
    EXPECT(&t, "a\0b", 0, 'a', 0, 'b');
    EXPECT_NONE(&t, "", TOKENIZER_ADD_SPECIAL);
    tokenizer_free(&t);
    s.spec.pre = text_of("llama3"); /* words that are tokens stay whole, and bos leads */
    small_create(&t, &s);
    EXPECT(&t, "abc", TOKENIZER_ADD_SPECIAL, 0, abc);
    EXPECT(&t, "abca", 0, 'a', bc, 'a');
    EXPECT(&t, "", TOKENIZER_ADD_SPECIAL, 0);
    tokenizer_free(&t);
}

/* ---- SentencePiece ---- */

#define GAP "\xe2\x96\x81"

static void test_spm(void)
{
    static small s;
    tokenizer t;
    int32_t gap, a, b, ab, ba, gap_a, mark;
    small_start(&s, "llama", "");
    s.spec.bos = 1;
    s.spec.unknown = 2;
    gap = small_token(&s, GAP, 1, -10);
    a = small_token(&s, "a", 1, -11);
    b = small_token(&s, "b", 1, -12);
    ab = small_token(&s, "ab", 1, -2);
    ba = small_token(&s, "ba", 1, -1);
    gap_a = small_token(&s, GAP "a", 1, -2);
    mark = small_token(&s, "<|m|>", 3, 0);
    small_create(&t, &s);
    EXPECT(&t, "", TOKENIZER_ADD_SPECIAL, 1);
    EXPECT(&t, "ab", 0, gap_a, b);
    EXPECT(&t, "aba", 0, gap_a, ba);
    EXPECT(&t, "b", TOKENIZER_ADD_SPECIAL, 1, gap, b);
    EXPECT(&t, "b  a", 0, gap, b, gap, gap_a);
    EXPECT(&t, "z\xc3\xa9", 0, gap, 'z', 0xc3, 0xa9);
    EXPECT(&t, "b\xff\x80", 0, gap, b, 0xff, 0x80);
    EXPECT(&t, "b\xf0\x9f", 0, gap, b, 0xf0, 0x9f);
    EXPECT(&t, "b<|m|>b<|m|><|m|> b", TOKENIZER_PARSE_SPECIAL, gap, b, mark, gap, b, mark, mark,
           gap, gap, b);
    tokenizer_free(&t);
    s.spec.add_space_prefix = 0;
    s.spec.add_bos = 0;
    s.spec.add_eos = 1;
    s.tokens['z'] = text_of("no-z");
    small_create(&t, &s);
    EXPECT(&t, "abab", TOKENIZER_ADD_SPECIAL, a, ba, b, 0);
    EXPECT(&t, "az", 0, a, 2);
    EXPECT(&t, "ab", 0, ab);
    EXPECT_NONE(&t, "", 0);
    tokenizer_free(&t);
}

/* ---- Special tokens ---- */

static void test_special(void)
{
    static small s;
    tokenizer t;
    int32_t x, xx, user, eats, late;
    small_start(&s, "gpt2", "smollm");
    x = small_token(&s, "<x>", 3, 0);
    xx = small_token(&s, "<x><x>", 3, 0);
    user = small_token(&s, "[u]", 4, 0);
    late = small_token(&s, "]<y>", 3, 0);
    eats = small_token(&s, "<|im_end|>", 1, 0); /* control by its text alone */
    small_create(&t, &s);
    EXPECT(&t, "<x>", TOKENIZER_PARSE_SPECIAL, x);
    EXPECT(&t, "<x>", 0, '<', 'x', '>');
    EXPECT(&t, "<x><x><x>", TOKENIZER_PARSE_SPECIAL, xx, x);
    EXPECT(&t, "a <x> b", TOKENIZER_PARSE_SPECIAL, 'a', ' ', x, ' ', 'b');
    EXPECT(&t, "a[u]b", 0, 'a', user, 'b');
    EXPECT(&t, "<[u]x>", TOKENIZER_PARSE_SPECIAL, '<', user, 'x', '>');
    EXPECT(&t, "[u]<y>", TOKENIZER_PARSE_SPECIAL, '[', 'u', late);
    EXPECT(&t, "<x", TOKENIZER_PARSE_SPECIAL, '<', 'x');
    EXPECT(&t, "<|im_end|> \na", TOKENIZER_PARSE_SPECIAL, eats, ' ', '\n', 'a');
    check(tokenizer_is_end(&t, eats) && tokenizer_is_end(&t, 0) && !tokenizer_is_end(&t, x) &&
              !tokenizer_is_end(&t, -1) && !tokenizer_is_end(&t, 100000),
          "ends of a generation");
    tokenizer_free(&t);
    s.spec.title = text_of("My Phi-3 Mini");
    s.spec.eot = x;
    small_create(&t, &s);
    EXPECT(&t, "<|im_end|> \n<x>  a", TOKENIZER_PARSE_SPECIAL, eats, x, 'a');
    check(tokenizer_is_end(&t, x), "the end of turn does not end");
    tokenizer_free(&t);
}

/* ---- Back to text ---- */

static void test_decode(void)
{
    static small s;
    tokenizer t;
    tokenizer_text out = {0};
    int32_t gap_a, mark, user, unused;
    small_start(&s, "llama", "");
    gap_a = small_token(&s, GAP "a" GAP, 1, 0);
    mark = small_token(&s, "<|m|>", 3, 0);
    user = small_token(&s, GAP "[u]", 4, 0);
    unused = small_token(&s, "dead", 5, 0);
    small_create(&t, &s);
    expect_text(&t, gap_a, gap_a, 0, "a  a ");
    expect_text(&t, ' ', gap_a, 0, " a ");
    expect_text(&t, 0xc3, 0xa9, 0, "\xc3\xa9");
    expect_text(&t, mark, gap_a, 0, " a ");
    expect_text(&t, mark, gap_a, 1, "<|m|> a ");
    expect_text(&t, user, unused, 0, GAP "[u]");
    check(tokenizer_piece(&t, -1, 1, &out) == TOKENIZER_BAD_ID &&
              tokenizer_piece(&t, 100000, 1, &out) == TOKENIZER_BAD_ID && out.size == 0,
          "ids outside the vocabulary");
    tokenizer_free(&t);
    small_start(&s, "gpt2", "gpt-2");
    gap_a = small_merge(&s, "\xc4\xa0 a");
    small_create(&t, &s);
    expect_text(&t, gap_a, 0xff, 0, " a\xff");
    tokenizer_free(&t);
}

/* ---- Long words: the work grows as the text, but for a logarithm ---- */

static double steps_for(const tokenizer *t, size_t size, unsigned seed)
{
    tokenizer_ids ids = {0};
    char *text = (char *)malloc(size);
    double steps;
    for (size_t i = 0; i < size; ++i) {
        seed = seed * 1664525u + 1013904223u;
        text[i] = (char)('a' + (seed >> 24) % (seed & 1 ? 2 : 1));
    }
    check(tokenizer_encode(t, text, size, 0, &ids) == TOKENIZER_OK && ids.count < size,
          "a word of %zu bytes", size);
    steps = (double)ids.steps;
    free(ids.data);
    free(text);
    return steps;
}

static void test_long_words(void)
{
    static small s;
    tokenizer t;
    double one, eight;
    for (int is_bpe = 0; is_bpe < 2; ++is_bpe) {
        small_start(&s, is_bpe ? "gpt2" : "llama", "smollm");
        if (!is_bpe) small_token(&s, "a", 1, -9);
        if (!is_bpe) small_token(&s, "b", 1, -9);
        small_merge(&s, "a a");
        small_merge(&s, "a b");
        small_merge(&s, "aa aa");
        small_merge(&s, "aaaa aaaa");
        s.spec.merge_count = is_bpe ? s.spec.merge_count : 0;
        small_create(&t, &s);
        one = steps_for(&t, 1 << 15, 1);
        eight = steps_for(&t, 1 << 18, 1);
        check(eight < 8 * 1.5 * one, "8 times the text takes %.1f times the steps", eight / one);
        check(eight < 40.0 * (1 << 18), "%.1f steps per byte", eight / (1 << 18));
        tokenizer_free(&t);
    }
}

/* ---- Vocabularies that must be refused ---- */

static void refuse(small *s, const char *part)
{
    tokenizer t;
    char err[256] = "";
    int status = tokenizer_create(&t, &s->spec, err, sizeof err);
    check(status == -1 && strstr(err, part), "\"%s\" expected, status %d, \"%s\"", part, status,
          err);
    if (status == 0) tokenizer_free(&t);
    small_start(s, "gpt2", "gpt-2");
}

static void test_hostile(void)
{
    static small s;
    tokenizer t;
    char err[256];
    small_start(&s, "bert", "");
    refuse(&s, "tokenizer model \"bert\"");
    s.spec.pre = text_of("tiktoken9");
    refuse(&s, "pre-tokenizer \"tiktoken9\"");
    s.spec.token_count = 0;
    refuse(&s, "0 tokens");
    s.merges[s.spec.merge_count++] = text_of("a zebra");
    refuse(&s, "merge 0");
    s.merges[s.spec.merge_count++] = text_of("a b"); /* "ab" is no token */
    refuse(&s, "merge 0");
    small_merge(&s, "a b");
    s.merges[s.spec.merge_count++] = text_of("ab");
    refuse(&s, "merge 1");
    s.merges[s.spec.merge_count++] = text_of("");
    refuse(&s, "merge 0");
    small_token(&s, "a", 1, 0);
    refuse(&s, "the same text");
    s.spec.bos = 256;
    refuse(&s, "bos token 256");
    s.spec.eos = -2;
    refuse(&s, "eos token -2");
    s.spec.fill[1] = 1 << 30;
    refuse(&s, "fill-in-the-middle token");
    s.spec.token_count = 4;
    s.spec.bos = -1; /* the default, 11, is not there */
    s.spec.add_bos = 1;
    refuse(&s, "lacks");
    s.types[5] = 77; /* an unknown type is a token without text */
    small_token(&s, "", 1, 0);
    check(tokenizer_create(&t, &s.spec, err, sizeof err) == 0, "an empty token: %s", err);
    expect_text(&t, 5, 256, 1, "[EMPTY_256]");
    tokenizer_free(&t);
}

/* ---- Chats ---- */

static void test_chats(void)
{
    const chat_message messages[4] = {
        {"system", {"s", 1}}, {"user", {" u ", 3}}, {"assistant", {" a ", 3}}, {"user", {"v", 1}}};
    const chat_message stranger = {"wizard", {"w", 1}};
    char err[256];
    chat c;
    for (size_t i = 0; i < sizeof chat_cases / sizeof chat_cases[0]; ++i) {
        const chat_case *one = &chat_cases[i];
        tokenizer_text out = {0};
        int status =
            chat_detect(&c, text_of(one->template_text), text_of("[EOS]"), err, sizeof err);
        check((status == 0) == (one->family != 0), "template \"%s\": %d", one->template_text,
              status);
        if (status != 0) continue;
        check(strcmp(c.format->name, one->family) == 0, "template \"%s\" is taken for %s",
              one->template_text, c.format->name);
        check(chat_apply(&c, messages, 4, 1, &out, err, sizeof err) == 0 &&
                  same_text(&out, one->text),
              "%s writes \"%.*s\"", one->family, (int)out.size, out.data ? out.data : "");
        check(chat_apply(&c, &stranger, 1, 1, &out, err, sizeof err) == -1, "a role is unknown");
        free(out.data);
        chat_free(&c);
    }
    for (size_t i = 0; i < sizeof chat_system_cases / sizeof chat_system_cases[0]; ++i) {
        const char *want = chat_system_cases[i][1];
        tokenizer_text out = {0};
        check(chat_detect(&c, text_of(chat_system_cases[i][0]), text_of(""), err, sizeof err) ==
                      0 &&
                  same_text(&c.system, want),
              "the system message \"%s\" is not found", want);
        chat_apply(&c, messages + 3, 1, 0, &out, err, sizeof err);
        check((out.size > 40) == (want[0] != 0), "the system message \"%s\" is not put in", want);
        out.size = 0;
        chat_apply(&c, messages, 2, 0, &out, err, sizeof err);
        check(!want[0] || out.size < 70, "the user's system message does not replace \"%s\"", want);
        free(out.data);
        chat_free(&c);
    }
}

/* ---- Out of a GGUF file ---- */

static void put(tokenizer_text *f, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; ++i) {
        char byte = (char)(value >> 8 * i);
        tokenizer_append(f, &byte, 1);
    }
}

static void put_text(tokenizer_text *f, const char *text)
{
    put(f, strlen(text), 8);
    tokenizer_append(f, text, strlen(text));
}

static void put_key(tokenizer_text *f, const char *key, int type)
{
    put_text(f, key);
    put(f, (uint64_t)type, 4);
}

/* A file with a four-token vocabulary; `bos` is written as it is. */
static void put_file(tokenizer_text *f, uint64_t bos, int merges)
{
    static const char *const tokens[] = {"a", "b", "ab", "<|im_end|>"};
    tokenizer_append(f, "GGUF", 4);
    put(f, 3, 4);
    put(f, 0, 8);
    put(f, merges ? 6 : 5, 8);
    put_key(f, "tokenizer.ggml.model", GGUF_TEXT);
    put_text(f, "gpt2");
    put_key(f, "tokenizer.ggml.pre", GGUF_TEXT);
    put_text(f, "qwen2");
    put_key(f, "tokenizer.ggml.bos_token_id", GGUF_U32);
    put(f, bos, 4);
    put_key(f, "tokenizer.chat_template", GGUF_TEXT);
    put_text(f, "<|im_start|>");
    put_key(f, "tokenizer.ggml.tokens", GGUF_ARRAY);
    put(f, GGUF_TEXT, 4);
    put(f, 4, 8);
    for (int i = 0; i < 4; ++i) put_text(f, tokens[i]);
    if (!merges) return;
    put_key(f, "tokenizer.ggml.merges", GGUF_ARRAY);
    put(f, GGUF_TEXT, 4);
    put(f, 1, 8);
    put_text(f, "a b");
}

static int read_file(const tokenizer_text *file, size_t size, tokenizer *t, char *err)
{
    gguf_file f;
    char *copy = (char *)malloc(size ? size : 1);
    int status;
    memcpy(copy, file->data, size);
    status = gguf_parse(&f, copy, size, err, 256);
    if (status == 0) {
        status = tokenizer_from_gguf(t, &f, err, 256);
        check(tokenizer_text_is(tokenizer_gguf_chat_template(&f), "<|im_start|>"), "chat template");
        gguf_close(&f);
    }
    free(copy);
    return status;
}

static void test_gguf(void)
{
    tokenizer_text file = {0};
    tokenizer t;
    char err[256] = "";
    put_file(&file, 0xffffffffu, 1);
    if (read_file(&file, file.size, &t, err) == 0) {
        EXPECT(&t, "abab", TOKENIZER_ADD_SPECIAL, 2, 2);
        check(t.bos == -1 && tokenizer_is_end(&t, 3), "bos %d", (int)t.bos);
        tokenizer_free(&t);
    } else {
        check(0, "a good file is refused: %s", err);
    }
    for (size_t size = 0; size < file.size; ++size)
        check(read_file(&file, size, &t, err) != 0, "a file cut at %zu is accepted", size);
    file.size = 0;
    put_file(&file, 4, 1);
    check(read_file(&file, file.size, &t, err) != 0 && strstr(err, "bos token 4"), "%s", err);
    file.size = 0;
    put_file(&file, 0, 0);
    check(read_file(&file, file.size, &t, err) != 0 && strstr(err, "merges"), "%s", err);
    free(file.data);
}

int main(void)
{
    test_unicode();
    test_stream();
    test_words();
    test_bpe();
    test_spm();
    test_special();
    test_decode();
    test_long_words();
    test_hostile();
    test_chats();
    test_gguf();
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
