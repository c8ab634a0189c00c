/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * A picture of the ratios: one row per comparison, a dot for the median, a line from the least to
 * the greatest, on a logarithmic axis on which equal contenders meet at 1.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include "bench.h"

#define ROW_HEIGHT 17
#define MARGIN	   130

bool
bench_plot_possible(void)
{
	return system("command -v gnuplot >/dev/null 2>&1") == 0;
}

static void
row_label(const struct bench_result *r, char *text, size_t len)
{
	const struct bench_case *c = &r->of;
	char size[24] = "";

	if (strcmp(c->suite, "ring") == 0)
		snprintf(size, sizeof(size), ", %u B", c->size);
	snprintf(text, len, "%s, %u %s, bulk %u%s%s:  %s / %s", c->pattern, c->lcores,
		strcmp(c->suite, "pool") == 0 || strcmp(c->suite, "recovery") == 0 ? "processes"
										   : "lcores",
		c->bulk, size, c->touch ? ", touched" : "", c->subject, c->rival);
}

/* gnuplot takes the rows from its standard input; text in quotes, which no label holds */
static void
rows(FILE *out)
{
	char label[256];

	fprintf(out, "$rows << END\n");
	for (unsigned int i = 0; i < bench_n_results; i++) {
		const struct bench_result *r = &bench_results[i];

		row_label(r, label, sizeof(label));
		fprintf(out, "%u %.4f %.4f %.4f %.4f \"%s\"\n", i, r->ratio.median, r->ratio.min,
			r->ratio.max, r->of.bar != 0 ? r->of.bar : -1.0, label);
	}
	fprintf(out, "END\n");
}

static void
script(FILE *out, const char *path)
{
	unsigned int n = bench_n_results;

	rows(out);
	fprintf(out,
		"set terminal svg noenhanced size 1200,%u font 'sans-serif,12' background rgb "
		"'white'\n"
		"set output '%s'\n"
		"set title \"slabio-bench: how many times better the first of each row is "
		"(median, least and greatest of %u pairs)\"\n"
		"set logscale x\n"
		"set yrange [%u.5:-0.5] noreverse\n"
		"set ytics font 'sans-serif,10'\n"
		"set grid x\n"
		"set xlabel 'ratio; right of 1 the first contender is better'\n"
		"set arrow from first 1, graph 0 to first 1, graph 1 nohead lw 1.5 lc rgb "
		"'#444444'\n"
		"set key outside bottom center horizontal\n",
		n * ROW_HEIGHT + MARGIN, path, bench_options.pairs, n - 1);
	/* the bar is a red tick that the dot has to reach; colours for better and worse */
	fprintf(out,
		"plot $rows using ($2 >= 1 ? $2 : NaN):1:3:4:ytic(6) with xerrorbars pt 7 ps 0.6 "
		"lc rgb '#1b7837' title 'better', "
		"'' using ($2 < 1 ? $2 : NaN):1:3:4 with xerrorbars pt 7 ps 0.6 lc rgb '#b2182b' "
		"title 'worse', "
		"'' using ($5 > 0 ? $5 : NaN):1 with points pt 2 ps 0.8 lw 2 lc rgb '#2166ac' "
		"title 'bar to reach'\n");
}

int
bench_write_plot(const char *path)
{
	void (*before)(int);
	FILE *out;
	int status;

	if (bench_n_results == 0) {
		bench_error("nothing was measured: no plot");
		return -ENODATA;
	}
	if (strchr(path, '\'') != NULL || strchr(path, '\n') != NULL) {
		bench_error("%s: a plot's name must hold no ' and no line break", path);
		return -EINVAL;
	}
	before = signal(SIGPIPE, SIG_IGN);
	out = popen("gnuplot", "w");
	if (out == NULL) {
		bench_error("cannot start gnuplot: %s", strerror(errno));
		return -errno;
	}
	script(out, path);
	status = pclose(out);
	signal(SIGPIPE, before);
	if (status == 0)
		return 0;
	bench_error("gnuplot ended with status %d: %s was not written",
		WIFEXITED(status) ? WEXITSTATUS(status) : status, path);
	return -EIO;
}
