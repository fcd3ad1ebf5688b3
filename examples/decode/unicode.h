/* Unicode for the tokenizer: UTF-8 in both directions, letter and number classes, the byte
   alphabet of byte-level BPE, and a filter that prints UTF-8 only in whole characters. */
#ifndef UNICODE_H
#define UNICODE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "unicode_tables.h"

enum unicode_class {
    UNICODE_OTHER,
    UNICODE_LETTER,
    UNICODE_NUMBER,
    UNICODE_PUNCTUATION,
    UNICODE_SPACE
};

#define UNICODE_REPLACEMENT 0xfffdu

/* Length that a lead byte announces; 1 for a byte that cannot lead. */
static size_t unicode_announced(unsigned char lead)
{
    static const unsigned char size[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
    return size[lead >> 4];
}

/* Reads one code point and says how many bytes it took. A byte that starts no sequence is one
   replacement character. Overlong forms and surrogates pass: llama.cpp reads them so too. */
static size_t unicode_read(const char *text, size_t size, uint32_t *code_point)
{
    unsigned char lead = (unsigned char)text[0];
    size_t need = unicode_announced(lead);
    uint32_t value = need == 1 ? lead : lead & (0x7fu >> need);
    *code_point = UNICODE_REPLACEMENT;
    if (need > size || (need == 1 && lead >= 0x80) || lead >= 0xf8) return 1;
    for (size_t i = 1; i < need; ++i) {
        unsigned char next = (unsigned char)text[i];
        if ((next & 0xc0) != 0x80) return 1;
        value = value << 6 | (next & 0x3f);
    }
    if (value > 0x10ffff) return 1;
    *code_point = value;
    return need;
}

/* Writes up to four bytes and returns how many. */
static size_t unicode_write(uint32_t code_point, char *out)
{
    size_t size = code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    static const unsigned char lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size - 1; i > 0; --i) {
        out[i] = (char)(0x80 | (code_point & 0x3f));
        code_point >>= 6;
    }
    out[0] = (char)(lead[size] | code_point);
    return size;
}

static uint8_t unicode_class_of(uint32_t code_point)
{
    size_t low = 0, high = sizeof unicode_changes / sizeof unicode_changes[0];
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (unicode_changes[middle] >> 3 <= code_point)
            low = middle;
        else
            high = middle;
    }
    return (uint8_t)(unicode_changes[low] & 7);
}

/* Byte-level BPE writes every byte as one visible character: printable Latin-1 as itself, the
   other 68 bytes as U+0100 and up in order. */
static int unicode_byte_is_visible(unsigned byte)
{
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}

static void unicode_byte_alphabet(uint32_t character[256])
{
    uint32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte)
        character[byte] = unicode_byte_is_visible(byte) ? byte : next++;
}

/* The byte that a character of the byte alphabet stands for, or -1. */
static int unicode_byte_of(uint32_t character)
{
    uint32_t next = 0x100;
    if (character < 0x100) return unicode_byte_is_visible(character) ? (int)character : -1;
    for (unsigned byte = 0; byte < 256; ++byte)
        if (!unicode_byte_is_visible(byte) && next++ == character) return (int)byte;
    return -1;
}

/* Holds back the bytes of a character that is not yet complete. */
typedef struct unicode_stream {
    char held[4];
    size_t count;
} unicode_stream;

/* How many bytes at the end of the text begin a character that it does not finish. */
static size_t unicode_unfinished(const char *text, size_t size)
{
    for (size_t back = 1; back <= 3 && back <= size; ++back) {
        unsigned char byte = (unsigned char)text[size - back];
        if ((byte & 0xc0) == 0x80) continue;
        return byte >= 0xc2 && byte <= 0xf4 && unicode_announced(byte) > back ? back : 0;
    }
    return 0;
}

/* Appends a piece and copies what may be printed now into `out` (room for size + 3 bytes).
   Every byte comes out in order; nothing is replaced. */
static inline size_t unicode_stream_push(unicode_stream *stream, const char *piece, size_t size,
                                         char *out)
{
    size_t total = stream->count + size, hold;
    memcpy(out, stream->held, stream->count);
    if (size) memcpy(out + stream->count, piece, size);
    hold = unicode_unfinished(out, total);
    memcpy(stream->held, out + total - hold, hold);
    stream->count = hold;
    return total - hold;
}

/* Hands out what is still held, at the end of the text (room for 3 bytes). */
static inline size_t unicode_stream_flush(unicode_stream *stream, char *out)
{
    size_t count = stream->count;
    memcpy(out, stream->held, count);
    stream->count = 0;
    return count;
}

#endif
