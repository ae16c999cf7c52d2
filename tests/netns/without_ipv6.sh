# Runs a command as if the kernel had been started with `ipv6.disable=1`: in a mount namespace whose /proc lacks what
# the /proc of such a kernel lacks. Usage: unshare --mount --propagation private sh without_ipv6.sh FOLDER COMMAND...
set -e
real=$1/real fake=$1/fake
shift
mkdir -p "$real" "$fake/net" "$fake/sys/net"
mount --bind /proc "$real"

# link FROM TO NAMES: everything in a folder of the true /proc into one of the false, but for these names.
link() {
    for entry in "$real$1"/*; do
        case " $3 " in *" ${entry##*/} "*) ;; *) ln -s "$entry" "$fake$2/" ;; esac
    done
}
link '' '' 'net sys'
link /self/net /net if_inet6
link /sys /sys net
link /sys/net /sys/net ipv6
mount --bind "$fake" /proc
exec "$@"
