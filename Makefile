# Installs what `cargo build --release` builds.
#
#     make                                  every program
#     make install                          to /usr/local, as root
#     make install DESTDIR=DIR PREFIX=/usr  as packages do
#     make uninstall                        with the same DESTDIR and PREFIX; leaves the configuration
#
# An existing SYSCONFDIR/kerneld.toml is kept.

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
LIBDIR ?= $(PREFIX)/lib
UNITDIR ?= $(PREFIX)/lib/systemd/system
RELEASE ?= $(or $(CARGO_TARGET_DIR),target)/release

SBIN = kerneld kerneld-migrate
BIN = kdsend kdstat admpersist kdrun kerneld-compare
UNITS = kerneld.service kerneld-autoclean.service kerneld-autoclean.timer

bash = $(PREFIX)/share/bash-completion/completions
zsh = $(PREFIX)/share/zsh/site-functions
fish = $(PREFIX)/share/fish/vendor_completions.d
man = $(PREFIX)/share/man
doc = $(PREFIX)/share/doc/kerneld

# Every file that is installed but for the configuration, without DESTDIR.
installed = \
    $(addprefix $(PREFIX)/sbin/,$(SBIN)) \
    $(addprefix $(PREFIX)/bin/,$(BIN)) \
    $(LIBDIR)/libkdclient.a $(LIBDIR)/libkdclient.so.0 $(LIBDIR)/libkdclient.so $(LIBDIR)/pkgconfig/kdclient.pc \
    $(PREFIX)/include/kerneld/linux/kerneld.h \
    $(foreach page,$(notdir $(wildcard docs/man/*)),$(man)/man$(subst .,,$(suffix $(page)))/$(page)) \
    $(foreach program,$(SBIN) $(BIN),$(bash)/$(program) $(zsh)/_$(program) $(fish)/$(program).fish) \
    $(addprefix $(UNITDIR)/,$(UNITS)) \
    $(PREFIX)/lib/sysusers.d/kerneld.conf $(PREFIX)/lib/tmpfiles.d/kerneld.conf \
    $(addprefix $(doc)/,README.md kerneld.toml examples/request-route examples/client.c examples/oldclient.c)

all:
	cargo build --release

# No dependency on `all`: root need not have a Rust toolchain.
install:
	@test -x $(RELEASE)/kerneld || { echo 'make install: run `cargo build --release` first' >&2; exit 1; }
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/sbin $(addprefix $(RELEASE)/,$(SBIN))
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(addprefix $(RELEASE)/,$(BIN))
	install -D -m 644 -t $(DESTDIR)$(LIBDIR) $(RELEASE)/libkdclient.a
	install -D -m 755 $(RELEASE)/libkdclient.so $(DESTDIR)$(LIBDIR)/libkdclient.so.0
	ln -sf libkdclient.so.0 $(DESTDIR)$(LIBDIR)/libkdclient.so
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	sed 's#^prefix=.*#prefix=$(PREFIX)#; s#^libdir=.*#libdir=$(LIBDIR)#' compat/kdclient/kdclient.pc \
	    >$(DESTDIR)$(LIBDIR)/pkgconfig/kdclient.pc
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include/kerneld/linux compat/include/linux/kerneld.h
	for page in docs/man/*; do \
	    install -D -m 644 -t $(DESTDIR)$(man)/man$${page##*.} $$page || exit; \
	done
	for program in $(SBIN) $(BIN); do \
	    install -D -m 644 packaging/completions/$$program.bash $(DESTDIR)$(bash)/$$program && \
	    install -D -m 644 packaging/completions/_$$program $(DESTDIR)$(zsh)/_$$program && \
	    install -D -m 644 packaging/completions/$$program.fish $(DESTDIR)$(fish)/$$program.fish || exit; \
	done
	install -d $(DESTDIR)$(UNITDIR)
	for unit in $(UNITS); do \
	    sed 's#/usr/sbin/kerneld#$(PREFIX)/sbin/kerneld#' packaging/systemd/$$unit >$(DESTDIR)$(UNITDIR)/$$unit || exit; \
	done
	install -D -m 644 packaging/systemd/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/kerneld.conf
	install -D -m 644 packaging/systemd/tmpfiles.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/kerneld.conf
	install -D -m 644 -t $(DESTDIR)$(doc) README.md docs/kerneld.toml
	install -D -m 644 -t $(DESTDIR)$(doc)/examples docs/examples/request-route docs/examples/*.c
	test -e $(DESTDIR)$(SYSCONFDIR)/kerneld.toml || \
	    install -D -m 644 docs/kerneld.toml $(DESTDIR)$(SYSCONFDIR)/kerneld.toml

uninstall:
	rm -f $(addprefix $(DESTDIR),$(installed))

.PHONY: all install uninstall
