/* The switch of a gateway that is built with FASTCOLLAB_SWITCHED: preloaded into it, so that all its extensions share it.
 * SIGRTMIN switches counting off, SIGRTMIN + 1 on again.
 */
#include <signal.h>

volatile int fastcollab_counted = 1;

static void set_counted(int number) { fastcollab_counted = number != SIGRTMIN; }

__attribute__((constructor)) static void begin(void) {
    struct sigaction action = {.sa_handler = set_counted, .sa_flags = SA_RESTART};
    sigaction(SIGRTMIN, &action, 0);
    sigaction(SIGRTMIN + 1, &action, 0);
}
