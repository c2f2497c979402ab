// The peer's dynamic page: answers as many bytes as the query string says (1024 without one),
// written anew for each request. Started by mod_fcgid.
#include <fcgi_stdio.h>
#include <stdlib.h>
#include <string.h>

static char body[1 << 20];

int main(void) {
    while (FCGI_Accept() >= 0) {
        const char *query = getenv("QUERY_STRING");
        long bytes = query && *query ? atol(query) : 1024;
        if (bytes < 0 || bytes > (long)sizeof body) bytes = 1024;
        memset(body, 'x', bytes);
        printf("Content-Type: text/plain\r\nContent-Length: %ld\r\n\r\n", bytes);
        FCGI_fwrite(body, 1, bytes, FCGI_stdout);
    }
    return 0;
}
