// SPDX-License-Identifier: GPL-2.0
/* vmctl device: PCI devices of the host, for VMs. */
#include <getopt.h>
#include <json-c/json.h>
#include <pci/pci.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt.h"
#include "vmctl.h"

#define NAME_MAX_LEN	128
#define RESETS_MAX_LEN	128

static const struct option list_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ 0 }
};

static const char *name_of(struct pci_access *pci, const struct device_info *d, char *buf)
{
	return pci_lookup_name(pci, buf, NAME_MAX_LEN, PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE,
			       d->vendor, d->device);
}

/* "flr bus": how the kernel would reset it, the best way first; empty: it can't. */
static const char *resets_of(const struct device_info *d, char *buf)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset_method", d->address);
	f = fopen(path, "r");
	if (!f || !fgets(buf, RESETS_MAX_LEN, f))
		*buf = '\0';
	if (f)
		fclose(f);
	buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

/* Nothing is in the way of attaching it. */
static bool is_viable(const struct device_info *d)
{
	return d->group >= 0 && d->isolated && d->can_reset && !*d->users && !*d->blocked;
}

static void print_text(struct pci_access *pci, const struct device_info *d, bool verbose)
{
	char buf[NAME_MAX_LEN], resets[RESETS_MAX_LEN], group[16] = "-", vm[24] = "-";

	if (d->group >= 0)
		snprintf(group, sizeof(group), "%d", d->group);
	if (d->vm_id)
		snprintf(vm, sizeof(vm), "%llu", (unsigned long long)d->vm_id);
	printf("%-12s %5s %5s %-14s %s\n", d->address, group, vm, *d->driver ? d->driver : "-",
	       name_of(pci, d, buf));
	if (!verbose)
		return;
	if (*d->members)
		printf("%13sgroup: %s\n", "", d->members);
	if (*d->former)
		printf("%13sdriver before: %s\n", "", d->former);
	resets_of(d, resets);
	printf("%13sreset: %s; interrupts: %s\n", "",
	       !d->can_reset ? "no" : *resets ? resets : "yes",
	       d->isolated ? "isolated" : "not isolated");
	if (*d->users)
		printf("%13sin use: %s\n", "", d->users);
	if (d->group < 0)
		printf("%13sno IOMMU stands before it\n", "");
	else if (*d->blocked)
		printf("%13sstill with the host: %s\n", "", d->blocked);
	printf("%13sviable: %s\n", "", is_viable(d) ? "yes" : "no");
}

static void add(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, *text ? json_object_new_string(text) : NULL);
}

static struct json_object *to_json(struct pci_access *pci, const struct device_info *d)
{
	struct json_object *o = json_object_new_object();
	char buf[NAME_MAX_LEN], resets[RESETS_MAX_LEN];

	add(o, "address", d->address);
	json_object_object_add(o, "vendor", json_object_new_int(d->vendor));
	json_object_object_add(o, "device", json_object_new_int(d->device));
	json_object_object_add(o, "class", json_object_new_int(d->class));
	add(o, "name", name_of(pci, d, buf));
	add(o, "driver", d->driver);
	add(o, "former", d->former);
	json_object_object_add(o, "group", d->group < 0 ? NULL : json_object_new_int(d->group));
	add(o, "members", d->members);
	add(o, "blocked", d->blocked);
	add(o, "users", d->users);
	json_object_object_add(o, "can_reset", json_object_new_boolean(d->can_reset));
	add(o, "resets", resets_of(d, resets));
	json_object_object_add(o, "isolated", json_object_new_boolean(d->isolated));
	json_object_object_add(o, "viable", json_object_new_boolean(is_viable(d)));
	json_object_object_add(o, "vm_id", d->vm_id ? json_object_new_int64(d->vm_id) : NULL);
	return o;
}

static void print_all(struct pci_access *pci, const struct device_info *d, size_t n, bool json,
		      bool verbose)
{
	struct json_object *all, *top;
	size_t i;

	if (!json) {
		printf("%-12s %5s %5s %-14s %s\n", "ADDRESS", "GROUP", "VM", "DRIVER", "NAME");
		for (i = 0; i < n; i++)
			print_text(pci, &d[i], verbose);
		return;
	}
	all = json_object_new_array();
	for (i = 0; i < n; i++)
		json_object_array_add(all, to_json(pci, &d[i]));
	top = json_object_new_object();
	json_object_object_add(top, "devices", all);
	puts(json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(top);
}

static int report_refusal(struct mgmt *m, const char *what, int err)
{
	report("%s: %s", what, *mgmt_error(m) ? mgmt_error(m) : strerror(-err));
	return STATUS_ERROR;
}

static int list(struct mgmt *m, int argc, char **argv)
{
	struct device_info *devices;
	bool json = false, verbose = false;
	struct pci_access *pci;
	size_t n;
	int c, ret;

	optind = 1;
	while ((c = getopt_long(argc, argv, "jv", list_options, NULL)) != -1) {
		if (c == 'j')
			json = true;
		else if (c == 'v')
			verbose = true;
		else
			return command_usage("device");
	}
	if (optind != argc)
		return command_usage("device");
	ret = mgmt_devices(m, &devices, &n);
	if (ret)
		return report_refusal(m, "devices", ret);
	/* For names only: nothing is scanned. */
	pci = pci_alloc();
	pci_init(pci);
	print_all(pci, devices, n, json, verbose);
	pci_cleanup(pci);
	free(devices);
	return STATUS_OK;
}

static int attach(struct mgmt *m, int argc, char **argv)
{
	bool force = argc == 4 && !strcmp(argv[1], "-f");
	struct vm_info vm;
	int ret;

	if (argc != 3 + force)
		return command_usage("device");
	if (mgmt_find(m, argv[1 + force], &vm))
		return STATUS_ERROR;
	ret = mgmt_device_change(m, LHV_CMD_DEVICE_ATTACH, argv[2 + force], vm.id, force);
	return ret ? report_refusal(m, argv[2 + force], ret) : STATUS_OK;
}

static int change(struct mgmt *m, int cmd, int argc, char **argv)
{
	int ret;

	if (argc != 2)
		return command_usage("device");
	ret = mgmt_device_change(m, cmd, argv[1], 0, false);
	return ret ? report_refusal(m, argv[1], ret) : STATUS_OK;
}

static int run(struct mgmt *m, int argc, char **argv)
{
	if (!strcmp(argv[0], "list"))
		return list(m, argc, argv);
	if (!strcmp(argv[0], "bind"))
		return change(m, LHV_CMD_DEVICE_BIND, argc, argv);
	if (!strcmp(argv[0], "unbind"))
		return change(m, LHV_CMD_DEVICE_UNBIND, argc, argv);
	if (!strcmp(argv[0], "attach"))
		return attach(m, argc, argv);
	if (!strcmp(argv[0], "detach"))
		return change(m, LHV_CMD_DEVICE_DETACH, argc, argv);
	return command_usage("device");
}

int cmd_device(int argc, char **argv)
{
	struct mgmt *m;
	int status;

	if (argc < 2)
		return command_usage("device");
	m = mgmt_open(false);
	if (!m)
		return STATUS_ERROR;
	status = run(m, argc - 1, argv + 1);
	mgmt_close(m);
	return status;
}
