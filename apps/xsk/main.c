/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * slabio-xsk: has the rights that AF_XDP asks for, so that the processes that move the packets need
 * none. It attaches the XDP program to an interface, creates sockets for whoever may connect to it,
 * and enters them into the program's map. See slabio_xsk_broker.h.
 *
 * It keeps nothing of those it serves. Each request is served by a child process that does not live
 * long: a descriptor that somebody passes may be one whose closing takes for ever, and nobody else
 * shall wait for that, or for who says nothing. The program is attached by a link, so that it goes
 * with this process.
 */

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <net/if.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "slabio_xdp_load.h"
#include "slabio_xsk_broker.h"

#ifndef AF_XDP
#define AF_XDP 44
#endif

/* What one request may take, and how many there may be at a time. */
#define SLOW_MS	     500
#define CHILDREN_MAX 32

struct settings {
	const char *iface;
	const char *listen;
	const char *map_path;
	const char *owner;
	unsigned int file_mode;
	bool native;
	bool generic;
};

struct broker {
	uint32_t ifindex;
	uint32_t queues;
	int map;
	int prog;
	int link;
	int listener;
	unsigned int children;
};

static void
usage(FILE *out)
{
	fputs("usage: slabio-xsk --iface INTERFACE --listen FILE [OPTIONS]\n"
	      "\n"
	      "Gives AF_XDP sockets of an interface to processes without rights: ports with\n"
	      "iface=INTERFACE,xsk_socket=FILE.\n"
	      "\n"
	      "  --iface INTERFACE   the interface; its program goes with this process\n"
	      "  --listen FILE       the unix socket to be asked at; must not exist yet\n"
	      "  --owner USER        whose that file is; default: who runs this\n"
	      "  --file-mode MODE    its permissions, octal; default: 0600\n"
	      "  --mode MODE         native, generic or auto (the default): native before generic\n"
	      "  --xsk-map FILE      attach nothing, use this pinned map of a program that is "
	      "there\n"
	      "  --help              print this\n"
	      "\n"
	      "Ends with SIGINT or SIGTERM. Exit status: 0 so ended, 1 it could not work, 2 wrong\n"
	      "usage.\n",
		out);
}

static int
failed(const char *what, const char *which, int err, const char *advice)
{
	fprintf(stderr, "slabio-xsk: cannot %s %s: %s%s\n", what, which, strerror(-err), advice);
	return err;
}

/* ---- interface and program ---- */

static uint32_t
count_queues(const char *iface)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq ifr = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint32_t n = 1;

	memcpy(ifr.ifr_name, iface, strlen(iface) + 1);
	ifr.ifr_data = (void *)&channels;
	/* a driver that cannot tell has one */
	if (fd >= 0 && ioctl(fd, SIOCETHTOOL, &ifr) == 0)
		n = channels.combined_count +
		    (channels.rx_count > channels.tx_count ? channels.rx_count : channels.tx_count);
	if (fd >= 0)
		close(fd);
	return n != 0 ? n : 1;
}

static int
attach(struct broker *b, uint32_t mode)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = mode);

	b->link = bpf_link_create(b->prog, (int)b->ifindex, BPF_XDP, &opts);
	return b->link >= 0 ? 0 : b->link;
}

static int
take_own_program(struct broker *b, const struct settings *s)
{
	const char *rights = "; run as root, or with CAP_BPF and CAP_NET_ADMIN";
	int ret = b->map = slabio_xdp_create_map(b->queues);

	if (ret >= 0)
		ret = b->prog = slabio_xdp_load(b->map);
	if (ret < 0)
		return failed(
			"load the XDP program for", s->iface, ret, ret == -EPERM ? rights : "");
	ret = s->native ? attach(b, XDP_FLAGS_DRV_MODE) : -EOPNOTSUPP;
	if (ret != 0 && s->generic && ret != -EBUSY && ret != -EEXIST)
		ret = attach(b, XDP_FLAGS_SKB_MODE);
	if (ret == 0)
		return 0;
	return failed("attach the XDP program to", s->iface, ret,
		ret == -EBUSY || ret == -EEXIST
			? "; another program is there: pin its map of sockets and give --xsk-map"
		: ret == -EPERM ? rights
				: "; try --mode generic");
}

static int
take_pinned_map(struct broker *b, const char *path)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	int ret = b->map = bpf_obj_get(path);

	if (ret >= 0)
		ret = bpf_obj_get_info_by_fd(b->map, &info, &len);
	if (ret < 0)
		return failed("open the pinned map", path, ret, "");
	if (info.type != BPF_MAP_TYPE_XSKMAP)
		return failed("use the map", path, -EINVAL, "; expected one of type XSKMAP");
	if (b->queues > info.max_entries)
		b->queues = info.max_entries;
	return 0;
}

/* ---- serving ---- */

/*
 * The file is the user's from now on. Who may write to its folder may have put another in its
 * place, or a link: only a socket is given away.
 */
static int
give_to(const char *path, const struct passwd *user)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), ret = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0)
		ret = -errno;
	else if (!S_ISSOCK(st.st_mode))
		ret = -EPROTOTYPE;
	else if (fchownat(fd, "", user->pw_uid, user->pw_gid, AT_EMPTY_PATH) != 0)
		ret = -errno;
	close(fd);
	return ret;
}

static int
open_listener(struct broker *b, const struct settings *s)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	const struct passwd *user = s->owner != NULL ? getpwnam(s->owner) : NULL;
	const char *advice = "";
	mode_t before;
	int ret;

	if (strlen(s->listen) >= sizeof(at.sun_path))
		return failed("listen at", s->listen, -ENAMETOOLONG, "");
	if (s->owner != NULL && user == NULL)
		return failed("find the user", s->owner, -ENOENT, "");
	memcpy(at.sun_path, s->listen, strlen(s->listen) + 1);
	b->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	before = umask(0777 & ~s->file_mode);
	ret = b->listener < 0 ? -errno : 0;
	if (ret == 0 && bind(b->listener, (const struct sockaddr *)&at, sizeof(at)) != 0) {
		ret = -errno;
		close(b->listener);
		b->listener = -1;
		if (ret == -EADDRINUSE)
			advice = "; another slabio-xsk is there, or was killed: then remove the "
				 "file";
	}
	umask(before);
	/* nobody may connect before the file is whose it shall be */
	if (ret == 0 && user != NULL)
		ret = give_to(s->listen, user);
	if (ret == 0 && listen(b->listener, 16) != 0)
		ret = -errno;
	return ret == 0 ? 0 : failed("listen at", s->listen, ret, advice);
}

static int
do_request(const struct broker *b, const struct slabio_xsk_request *request, int fd, int *give)
{
	int ret;

	if (request->ifindex != b->ifindex || request->queue >= b->queues)
		return -ERANGE;
	switch (request->op) {
	case SLABIO_XSK_SOCKET:
		*give = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
		return *give >= 0 ? 0 : -errno;
	case SLABIO_XSK_ENTER:
		/* the kernel takes AF_XDP sockets only, and nobody is pushed out */
		return fd < 0 ? -EBADF
			      : bpf_map_update_elem(b->map, &request->queue, &fd, BPF_NOEXIST);
	case SLABIO_XSK_LEAVE:
		ret = bpf_map_delete_elem(b->map, &request->queue);
		return ret == -ENOENT || ret == -EINVAL ? 0 : ret;
	default:
		return -ENOTSUP;
	}
}

static void
serve_one(const struct broker *b, int conn)
{
	const struct timeval limit = {.tv_usec = SLOW_MS * 1000};
	struct slabio_xsk_answer answer = {.magic = SLABIO_XSK_MAGIC};
	struct slabio_xsk_request request = {0};
	int fd, give = -1;

	if (setsockopt(conn, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
		slabio_xsk_receive(conn, &request, sizeof(request), &fd) != sizeof(request) ||
		request.magic != SLABIO_XSK_MAGIC)
		return;
	answer.error = do_request(b, &request, fd, &give);
	/* who has the answer finds no copy of its socket here */
	if (fd >= 0)
		close(fd);
	/* who does not listen any more has gone */
	(void)slabio_xsk_send(conn, &answer, sizeof(answer), give, MSG_DONTWAIT);
}

/* Ends with the alarm at the latest, whatever it is in the middle of, or with its parent. */
static void
be_child(const struct broker *b, int conn)
{
	const struct itimerval limit = {.it_value = {.tv_sec = 2 * SLOW_MS / 1000}};

	if (signal(SIGALRM, SIG_DFL) == SIG_ERR || setitimer(ITIMER_REAL, &limit, NULL) != 0 ||
		prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		_exit(1);
	/* the program goes with the parent, and so do who wait to be served */
	if (b->link >= 0)
		close(b->link);
	close(b->listener);
	serve_one(b, conn);
	_exit(0);
}

static void
begin_one(struct broker *b)
{
	int conn = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC);
	pid_t child;

	if (conn < 0)
		return;
	child = fork();
	if (child == 0)
		be_child(b, conn);
	if (child > 0)
		b->children++;
	close(conn);
}

static void
end_children(struct broker *b)
{
	while (b->children != 0 && waitpid(-1, NULL, WNOHANG) > 0)
		b->children--;
}

/* Whether it was asked to end; if not, a child has ended. */
static bool
take_signal(struct broker *b, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo != SIGCHLD)
		return true;
	end_children(b);
	return false;
}

static int
serve(struct broker *b, const struct settings *s)
{
	struct pollfd fds[2] = {{.events = POLLIN}, {.events = POLLIN}};
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGCHLD);
	if (signal(SIGCHLD, SIG_DFL) == SIG_ERR || sigprocmask(SIG_BLOCK, &signals, NULL) != 0)
		return failed("wait for", "signals", -errno, "");
	fds[1].fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fds[1].fd < 0)
		return failed("wait for", "signals", -errno, "");
	printf("slabio-xsk: %u queues of %s, at %s\n", b->queues, s->iface, s->listen);
	fflush(stdout);
	for (;;) {
		fds[0].fd = b->children < CHILDREN_MAX ? b->listener : -1;
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents != 0 && take_signal(b, fds[1].fd))
			break;
		if (fds[0].revents != 0)
			begin_one(b);
	}
	close(fds[1].fd);
	return 0;
}

static void
close_all(struct broker *b, const struct settings *s)
{
	if (b->listener >= 0) {
		unlink(s->listen);
		close(b->listener);
	}
	if (b->link >= 0)
		close(b->link);
	if (b->prog >= 0)
		close(b->prog);
	if (b->map >= 0)
		close(b->map);
}

static int
run(const struct settings *s)
{
	struct broker b = {.map = -1, .prog = -1, .link = -1, .listener = -1};
	int ret;

	b.ifindex = strlen(s->iface) < IFNAMSIZ ? if_nametoindex(s->iface) : 0;
	if (b.ifindex == 0)
		return failed("find the interface", s->iface, -ENODEV, "");
	b.queues = count_queues(s->iface);
	ret = s->map_path != NULL ? take_pinned_map(&b, s->map_path) : take_own_program(&b, s);
	if (ret == 0)
		ret = open_listener(&b, s);
	if (ret == 0)
		ret = serve(&b, s);
	close_all(&b, s);
	return ret;
}

/* ---- options ---- */

static int
wrong_usage(const char *why, const char *what)
{
	fprintf(stderr, "slabio-xsk: %s%s; see slabio-xsk --help\n", why, what);
	return 2;
}

static bool
set_mode(struct settings *s, const char *mode)
{
	s->native = strcmp(mode, "generic") != 0;
	s->generic = strcmp(mode, "native") != 0;
	return strcmp(mode, "auto") == 0 || !s->native || !s->generic;
}

static bool
set_file_mode(struct settings *s, const char *text)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	s->file_mode = (unsigned int)mode;
	return *text != '\0' && *end == '\0' && mode <= 0777;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"iface", required_argument, NULL, 'i'},
		{"listen", required_argument, NULL, 'l'},
		{"owner", required_argument, NULL, 'o'},
		{"file-mode", required_argument, NULL, 'f'},
		{"mode", required_argument, NULL, 'm'},
		{"xsk-map", required_argument, NULL, 'x'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct settings s = {.file_mode = 0600, .native = true, .generic = true};
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'i':
			s.iface = optarg;
			break;
		case 'l':
			s.listen = optarg;
			break;
		case 'o':
			s.owner = optarg;
			break;
		case 'x':
			s.map_path = optarg;
			break;
		case 'f':
			if (!set_file_mode(&s, optarg))
				return wrong_usage("expected permissions in octal, found ", optarg);
			break;
		case 'm':
			if (!set_mode(&s, optarg))
				return wrong_usage(
					"expected --mode auto, native or generic, found ", optarg);
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			return 2;
		}
	}
	if (optind < argc)
		return wrong_usage("unexpected argument ", argv[optind]);
	if (s.iface == NULL || s.listen == NULL)
		return wrong_usage("expected --iface and --listen", "");
	return run(&s) == 0 ? 0 : 1;
}
