/* JSON read from left to right: what json.c and record.c share. Not for actors. */
#ifndef LATTICE_SCANNER_H
#define LATTICE_SCANNER_H

#include "lattice.h"

typedef struct {
    const char *at, *end;
    bool bad;
} Scanner;

Scanner json_scanner(Text json);
char json_peek(Scanner *scanner);                /* the next character that is no white space; 0 at the end */
bool json_accept(Scanner *scanner, char wanted); /* passes over it if it is next */
void json_expect(Scanner *scanner, char wanted);
Text json_string(Scanner *scanner);              /* unescaped */
Text json_skip(Scanner *scanner);                /* one value, as it is written */

#endif
