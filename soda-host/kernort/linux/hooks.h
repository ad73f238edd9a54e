/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of this folder give each other. */
#ifndef KERNORT_HOOKS_H
#define KERNORT_HOOKS_H

#include <linux/lsm_hooks.h>
#include <linux/path.h>

#include "log.h"

extern const struct lsm_id kernort_lsmid;
/* What Kernort keeps with the kernel's objects; syslog.c. */
extern struct lsm_blob_sizes kernort_blobs;

void __init kernort_process_init(void);
void __init kernort_guard_start(void);
void __init kernort_power_start(void);
void __init kernort_socket_init(void);
void __init kernort_file_init(void);
void __init kernort_mount_init(void);
void __init kernort_syslog_init(void);
void __init kernort_klog_init(void);

/**
 * kernort_path_text - a path as it is known from the top of all mounts
 * @path: what the kernel acts on
 * @buffer: room for it
 * @size: of @buffer; PATH_MAX will do
 *
 * Whatever root the process has been given, and without memory of its own.
 * Where a file has no such path (its mount is in no tree, or it never had a
 * name), what d_path() says.
 *
 * Return: the path, within @buffer or constant.
 */
const char *kernort_path_text(const struct path *path, char *buffer, int size);

/* A piece of a string; nothing for NULL. */
struct kernort_piece kernort_text(const char *text);

/* Have what waits to be part of a larger record logged: before the log ends. */
void kernort_terminal_flush(void);
void kernort_klog_flush(void);

/* True if acts on the path are written down. */
bool kernort_is_watched(const char *path, bool is_reading);

#endif
