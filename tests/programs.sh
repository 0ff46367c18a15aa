#!/bin/sh
# Installs, on Debian, the programs that only tests and `make lint` need; a test that misses one is skipped and names
# its package.
packages=
need() { packages="$packages $1"; }
command -v ip >/dev/null || need iproute2
command -v tinyproxy >/dev/null || need tinyproxy-bin
ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || need faketime
command -v systemd-analyze >/dev/null || need systemd
command -v chromium >/dev/null || command -v google-chrome >/dev/null || need chromium
command -v Xvfb >/dev/null || need xvfb
command -v xdotool >/dev/null || need xdotool
command -v certutil >/dev/null || need libnss3-tools
command -v shellcheck >/dev/null || need shellcheck
command -v ssh >/dev/null || need openssh-client
[ -x /usr/sbin/slapd ] || need slapd
# Its package would have the machine serve from its next start on; where nothing is started like that, it may come.
[ -x /usr/sbin/sshd ] || [ -d /run/systemd/system ] || need openssh-server
[ -n "$packages" ] || exit 0

root=
[ "$(id -u)" = 0 ] || root="sudo -n"
policy=/usr/sbin/policy-rc.d
install_all() {
	# Installed without a configuration, slapd is never started by its package.
	echo "slapd slapd/no_configuration boolean true" | $root debconf-set-selections || return
	# No package starts a server meanwhile: tests start their own, on loopback.
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' | $root tee $policy && $root chmod 755 $policy || return
		trap '$root rm -f $policy' EXIT
	fi
	# shellcheck disable=SC2086 # one word for each package
	$root env DEBIAN_FRONTEND=noninteractive apt-get update &&
		$root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
}
install_all >/dev/null 2>&1 </dev/null || echo "Not installed, so that some tests are skipped:$packages" >&2
