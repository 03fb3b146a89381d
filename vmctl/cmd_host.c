// SPDX-License-Identifier: GPL-2.0
/*
 * vmctl host: can this host run a guest, and if not, what is to do? Looks at
 * the CPU's features, the loaded modules and the hypervisor's device.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <json.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmctl.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define PARAMETERS	"/sys/module/lhv/parameters/"
#define FLAGS_MAX	8192
#define TEXT_MAX	128

enum { OPT_JSON = 256, OPT_ACCEL };

static const struct option long_options[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	{ "accel", required_argument, NULL, OPT_ACCEL },
	{ 0 }
};

/* What /proc/cpuinfo calls the features that matter, and whether they must be. */
struct cpu_feature {
	const char *flag;
	const char *what;
	bool required;
};

static const struct cpu_feature amd_features[] = {
	{ "svm", "AMD-V", true },
	{ "npt", "nested paging", true },
	{ "nrip_save", "next instruction pointer", false },
	{ "decodeassists", "decode assists", false },
	{ "flushbyasid", "TLB flush by ASID", false },
	{ "vgif", "virtual global interrupt flag", false },
	{ "tsc_scale", "TSC scaling", false },
	{ "avic", "virtual interrupt controller", false },
};

static const struct cpu_feature intel_features[] = {
	{ "vmx", "VT-x", true },
	{ "ept", "extended page tables", true },
	{ "vpid", "virtual processor ids", false },
	{ "vnmi", "virtual NMIs", false },
	{ "flexpriority", "TPR shadow", false },
	{ "tsc_scaling", "TSC scaling", false },
};

/* What a guest of vmctl needs of the device. */
static const struct {
	int cap;
	const char *name;
	bool required;
} capabilities[] = {
	{ KVM_CAP_USER_MEMORY, "user_memory", true },
	{ KVM_CAP_IRQCHIP, "irqchip", true },
	{ KVM_CAP_IRQ_ROUTING, "irq_routing", true },
	{ KVM_CAP_PIT2, "pit2", true },
	{ KVM_CAP_SET_TSS_ADDR, "set_tss_addr", true },
	{ KVM_CAP_EXT_CPUID, "ext_cpuid", true },
	{ KVM_CAP_IRQFD, "irqfd", false },
	{ KVM_CAP_IOEVENTFD, "ioeventfd", false },
	{ KVM_CAP_TSC_DEADLINE_TIMER, "tsc_deadline_timer", false },
	{ KVM_CAP_IMMEDIATE_EXIT, "immediate_exit", false },
	{ KVM_CAP_SYNC_MMU, "sync_mmu", false },
};

struct host {
	const char *accel;
	char vendor[TEXT_MAX];
	char flags[FLAGS_MAX];
	bool lhv_loaded, kvm_loaded;
	char backend[TEXT_MAX], owner[TEXT_MAX], features[FLAGS_MAX];
	int open_errno, version;
	int vcpus_max, vcpus_soft, memslots;
	unsigned int caps;	/* a bit for each of capabilities[] */
	const char *remedy;	/* NULL: a guest can start */
};

/* A whole file, without its last line end; empty when there's none. */
static void read_text(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n;

	buf[0] = '\0';
	if (!f)
		return;
	n = fread(buf, 1, size - 1, f);
	fclose(f);
	while (n && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
}

static void read_cpuinfo(struct host *h)
{
	char *line = NULL, *value;
	size_t size = 0;
	FILE *f = fopen("/proc/cpuinfo", "re");

	if (!f)
		return;
	while (getline(&line, &size, f) > 0 && *line != '\n') {
		value = strchr(line, ':');
		if (!value)
			continue;
		value += strspn(value, ": ");
		value[strcspn(value, "\n")] = '\0';
		if (!strncmp(line, "vendor_id", 9))
			snprintf(h->vendor, sizeof(h->vendor), "%s", value);
		else if (!strncmp(line, "flags", 5))
			snprintf(h->flags, sizeof(h->flags), " %s ", value);
		/* Newer kernels list VT-x's own features apart. */
		else if (!strncmp(line, "vmx flags", 9))
			snprintf(h->flags + strlen(h->flags),
				 sizeof(h->flags) - strlen(h->flags), " %s ",
				 value);
	}
	free(line);
	fclose(f);
}

static bool has_flag(const struct host *h, const char *flag)
{
	char word[TEXT_MAX];

	snprintf(word, sizeof(word), " %s ", flag);
	return strstr(h->flags, word);
}

static const struct cpu_feature *cpu_features(const struct host *h, size_t *n)
{
	bool amd = !strcmp(h->vendor, "AuthenticAMD") ||
		   !strcmp(h->vendor, "HygonGenuine");

	*n = amd ? ARRAY_SIZE(amd_features) : ARRAY_SIZE(intel_features);
	return amd ? amd_features : intel_features;
}

static const char *missing_feature(const struct host *h)
{
	size_t i, n;
	const struct cpu_feature *f = cpu_features(h, &n);

	for (i = 0; i < n; i++)
		if (f[i].required && !has_flag(h, f[i].flag))
			return f[i].what;
	return NULL;
}

static void ask_device(struct host *h)
{
	int fd = open(h->accel, O_RDWR | O_CLOEXEC), vm;
	size_t i;

	if (fd < 0) {
		h->version = -1;
		h->open_errno = errno;
		return;
	}
	h->version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (h->version > 0) {
		h->vcpus_soft = ioctl(fd, KVM_CHECK_EXTENSION,
				      (unsigned long)KVM_CAP_NR_VCPUS);
		h->vcpus_max = ioctl(fd, KVM_CHECK_EXTENSION,
				     (unsigned long)KVM_CAP_MAX_VCPUS);
		h->memslots = ioctl(fd, KVM_CHECK_EXTENSION,
				    (unsigned long)KVM_CAP_NR_MEMSLOTS);
		for (i = 0; i < ARRAY_SIZE(capabilities); i++)
			if (ioctl(fd, KVM_CHECK_EXTENSION,
				  (unsigned long)capabilities[i].cap) > 0)
				h->caps |= 1U << i;
		/* Only a VM that was made proves that the hardware is ours. */
		vm = ioctl(fd, KVM_CREATE_VM, 0);
		if (vm < 0)
			h->open_errno = errno;
		else
			close(vm);
	}
	close(fd);
}

static bool lacks_capability(const struct host *h)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(capabilities); i++)
		if (capabilities[i].required && !(h->caps & 1U << i))
			return true;
	return false;
}

static const char *find_remedy(const struct host *h)
{
	bool own = !strcmp(h->accel, VMCTL_DEFAULT_ACCEL);

	switch (h->open_errno) {
	case 0:
		break;
	case EACCES:
	case EPERM:
		return "no permission: join the device's group: adduser USER kvm";
	case EBUSY:
		return "VT-x/AMD-V belongs to another hypervisor; if it is KVM and unused: modprobe -r kvm_amd kvm_intel kvm";
	default:
		if (missing_feature(h))
			return "the CPU lacks what is needed, or the firmware switched it off: look for SVM or VT-x in its setup";
		if (!own)
			return "the device doesn't answer: is its module loaded?";
		if (!h->lhv_loaded && h->kvm_loaded)
			return "release the hardware and load the module: modprobe -r kvm_amd kvm_intel kvm; modprobe lhv";
		return "load the module: modprobe lhv";
	}
	if (h->version != KVM_API_VERSION)
		return "the device is no hypervisor of this API";
	if (lacks_capability(h))
		return "the hypervisor lacks a capability that guests need";
	return NULL;
}

static const char *backend(const struct host *h)
{
	if (h->backend[0])
		return h->backend;
	return has_flag(h, "svm") ? "svm" : has_flag(h, "vmx") ? "vmx" : "none";
}

/* The module knows best; without it, the loaded modules tell. */
static const char *owner(const struct host *h)
{
	if (h->owner[0])
		return h->owner;
	if (h->kvm_loaded)
		return "kvm";
	return h->lhv_loaded ? "lhv" : "nobody";
}

static void inspect(struct host *h)
{
	read_cpuinfo(h);
	h->lhv_loaded = access("/sys/module/lhv", F_OK) == 0;
	h->kvm_loaded = access("/sys/module/kvm_amd", F_OK) == 0 ||
			access("/sys/module/kvm_intel", F_OK) == 0;
	read_text(PARAMETERS "backend", h->backend, sizeof(h->backend));
	read_text(PARAMETERS "owner", h->owner, sizeof(h->owner));
	read_text(PARAMETERS "features", h->features, sizeof(h->features));
	ask_device(h);
	h->remedy = find_remedy(h);
}

static void print_names(const char *label, const struct host *h, bool found)
{
	size_t i, n;
	const struct cpu_feature *f = cpu_features(h, &n);

	printf("%-14s", label);
	for (i = 0; i < n; i++)
		if (has_flag(h, f[i].flag) == found)
			printf(" %s", f[i].flag);
	printf("\n");
}

/* The module's own words: a line "name: value" for each feature. */
static void print_module(const struct host *h)
{
	const char *p;

	if (!h->features[0])
		return;
	printf("%-14s ", "module:");
	for (p = h->features; *p; p++) {
		if (*p == '\n')
			fputs(", ", stdout);
		else
			putchar(*p);
	}
	putchar('\n');
}

static struct json_object *module_object(const struct host *h)
{
	struct json_object *o = json_object_new_object();
	char text[FLAGS_MAX], *line, *value, *save = NULL;

	snprintf(text, sizeof(text), "%s", h->features);
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		value = line + strcspn(line, ":");
		if (*value) {
			*value++ = '\0';
			value += strspn(value, " ");
		}
		json_object_object_add(o, line, json_object_new_string(value));
	}
	return o;
}

static void print_text(const struct host *h)
{
	size_t i;

	printf("%-14s %s\n", "device:", h->accel);
	printf("%-14s %s\n", "backend:", backend(h));
	printf("%-14s %s\n", "cpu:", h->vendor);
	print_names("found:", h, true);
	print_names("missing:", h, false);
	print_module(h);
	printf("%-14s %s\n", "owner:", owner(h));
	if (h->version > 0) {
		printf("%-14s %d\n", "api:", h->version);
		printf("%-14s", "offers:");
		for (i = 0; i < ARRAY_SIZE(capabilities); i++)
			if (h->caps & 1U << i)
				printf(" %s", capabilities[i].name);
		printf("\n%-14s", "lacks:");
		for (i = 0; i < ARRAY_SIZE(capabilities); i++)
			if (!(h->caps & 1U << i))
				printf(" %s", capabilities[i].name);
		printf("\n%-14s %d vCPUs in a VM (%d advised), %d memory slots\n",
		       "limits:", h->vcpus_max, h->vcpus_soft, h->memslots);
	}
	if (h->remedy)
		printf("%-14s no; %s\n", "guests:", h->remedy);
	else
		printf("%-14s yes\n", "guests:");
}

static struct json_object *feature_array(const struct host *h, bool found)
{
	struct json_object *a = json_object_new_array();
	size_t i, n;
	const struct cpu_feature *f = cpu_features(h, &n);

	for (i = 0; i < n; i++)
		if (has_flag(h, f[i].flag) == found)
			json_object_array_add(a, json_object_new_string(f[i].flag));
	return a;
}

static void print_json(const struct host *h)
{
	struct json_object *o = json_object_new_object();
	struct json_object *caps = json_object_new_object();
	struct json_object *limits = json_object_new_object();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(capabilities); i++)
		json_object_object_add(caps, capabilities[i].name,
				       json_object_new_boolean(h->caps >> i & 1));
	json_object_object_add(limits, "vcpus",
			       json_object_new_int(h->vcpus_max));
	json_object_object_add(limits, "vcpus_advised",
			       json_object_new_int(h->vcpus_soft));
	json_object_object_add(limits, "memslots",
			       json_object_new_int(h->memslots));
	json_object_object_add(o, "device", json_object_new_string(h->accel));
	json_object_object_add(o, "backend", json_object_new_string(backend(h)));
	json_object_object_add(o, "cpu", json_object_new_string(h->vendor));
	json_object_object_add(o, "found", feature_array(h, true));
	json_object_object_add(o, "missing", feature_array(h, false));
	json_object_object_add(o, "module", module_object(h));
	json_object_object_add(o, "owner", json_object_new_string(owner(h)));
	json_object_object_add(o, "api", json_object_new_int(h->version));
	json_object_object_add(o, "capabilities", caps);
	json_object_object_add(o, "limits", limits);
	json_object_object_add(o, "guests", json_object_new_boolean(!h->remedy));
	json_object_object_add(o, "remedy", h->remedy ?
			       json_object_new_string(h->remedy) : NULL);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

int cmd_host(int argc, char **argv)
{
	struct host h = { .accel = VMCTL_DEFAULT_ACCEL };
	bool json = false;
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case OPT_JSON:
			json = true;
			break;
		case OPT_ACCEL:
			h.accel = optarg;
			break;
		default:
			return command_usage("host");
		}
	}
	if (optind != argc)
		return command_usage("host");
	inspect(&h);
	if (json)
		print_json(&h);
	else
		print_text(&h);
	return h.remedy ? STATUS_ERROR : STATUS_OK;
}
