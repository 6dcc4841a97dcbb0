/* Shuts a mounted ext4 down as a power cut would: FS_IOC_SHUTDOWN with NOLOGFLUSH, so that not even its own journal is written out. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>

int main(int count, char **arguments) {
    unsigned int no_log_flush = 2;
    int point = count == 2 ? open(arguments[1], O_RDONLY) : -1;
    if (point < 0 || ioctl(point, 0x8004587dUL, &no_log_flush) != 0) {
        perror("cut the power");
        return 1;
    }
    return 0;
}
