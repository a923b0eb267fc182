/* Prints the data ranges of a file, "BEGIN END" in bytes, one a line, as SEEK_DATA and SEEK_HOLE tell. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
        off_t data, hole = 0;
        int fd;

        if (argc != 2) {
                fprintf(stderr, "Usage: holes FILE\n");
                return 2;
        }
        fd = open(argv[1], O_RDONLY);
        if (fd < 0) {
                fprintf(stderr, "holes: %s: %s\n", argv[1], strerror(errno));
                return 1;
        }
        while ((data = lseek(fd, hole, SEEK_DATA)) >= 0) {
                hole = lseek(fd, data, SEEK_HOLE);
                if (hole < 0)
                        break;
                printf("%lld %lld\n", (long long)data, (long long)hole);
        }
        /* ENXIO: no data behind this point. */
        if (errno != ENXIO) {
                fprintf(stderr, "holes: %s: %s\n", argv[1], strerror(errno));
                return 1;
        }
        close(fd);
        return 0;
}
