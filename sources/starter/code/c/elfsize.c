/* elfsize - print the sections of a 64-bit ELF file, largest first. */
#define _POSIX_C_SOURCE 200809L
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct image {
	const unsigned char *base;
	size_t len;
};

static int die(const char *path, const char *why)
{
	fprintf(stderr, "elfsize: %s: %s\n", path, why);
	return EXIT_FAILURE;
}

/* A bounds-checked pointer into the mapping, or NULL. */
static const void *at(const struct image *img, uint64_t off, uint64_t n)
{
	if (off > img->len || n > img->len - off)
		return NULL;
	return img->base + off;
}

static int map_file(const char *path, struct image *img)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		goto fail;
	if (st.st_size == 0) {
		errno = ENOEXEC;
		goto fail;
	}
	img->len = (size_t)st.st_size;
	void *p = mmap(NULL, img->len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		goto fail;
	img->base = p;
	close(fd);              /* the mapping keeps the file alive */
	return 0;
fail:;
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int by_size_desc(const void *a, const void *b)
{
	const Elf64_Shdr *x = *(const Elf64_Shdr *const *)a;
	const Elf64_Shdr *y = *(const Elf64_Shdr *const *)b;

	return (x->sh_size < y->sh_size) - (x->sh_size > y->sh_size);
}

static void flags_string(uint64_t f, char out[4])
{
	out[0] = f & SHF_ALLOC ? 'a' : '-';
	out[1] = f & SHF_WRITE ? 'w' : '-';
	out[2] = f & SHF_EXECINSTR ? 'x' : '-';
	out[3] = '\0';
}

static int report(const char *path, const struct image *img)
{
	const Elf64_Ehdr *eh = at(img, 0, sizeof *eh);

	if (!eh || memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0)
		return die(path, "not an ELF file");
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh->e_ident[EI_DATA] != ELFDATA2LSB)
		return die(path, "only little-endian ELF64 is supported");
	if (eh->e_shnum == 0 || eh->e_shentsize != sizeof(Elf64_Shdr))
		return die(path, "no usable section headers");

	const Elf64_Shdr *sh = at(img, eh->e_shoff,
				  (uint64_t)eh->e_shnum * sizeof *sh);
	if (!sh || eh->e_shstrndx >= eh->e_shnum)
		return die(path, "section table lies outside the file");

	const Elf64_Shdr *names = &sh[eh->e_shstrndx];
	const char *strtab = at(img, names->sh_offset, names->sh_size);
	if (!strtab || names->sh_size == 0 || strtab[names->sh_size - 1] != '\0')
		return die(path, "bad section name table");

	const Elf64_Shdr **order = calloc(eh->e_shnum, sizeof *order);
	if (!order)
		return die(path, strerror(errno));

	uint64_t loaded = 0;
	for (unsigned i = 0; i < eh->e_shnum; i++) {
		order[i] = &sh[i];
		if (sh[i].sh_flags & SHF_ALLOC)
			loaded += sh[i].sh_size;
	}
	qsort(order, eh->e_shnum, sizeof *order, by_size_desc);

	for (unsigned i = 0; i < eh->e_shnum && order[i]->sh_size; i++) {
		const char *name = order[i]->sh_name < names->sh_size
			? strtab + order[i]->sh_name : "<corrupt>";
		char fl[4];

		flags_string(order[i]->sh_flags, fl);
		printf("%10" PRIu64 "  %s  %s\n", order[i]->sh_size, fl, name);
	}
	printf("%10" PRIu64 "  in memory\n", loaded);
	free(order);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: elfsize FILE\n");
		return 2;
	}

	struct image img;
	if (map_file(argv[1], &img) < 0)
		return die(argv[1], strerror(errno));
	int rc = report(argv[1], &img);
	munmap((void *)img.base, img.len);
	return rc;
}
