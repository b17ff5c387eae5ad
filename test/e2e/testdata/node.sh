# The first process of a node that has this machine's programs and network, and folders of
# its own, in namespaces that end with it. What a kubelet sets for the whole machine are
# files of its own, too: nothing of the machine is changed.
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
for folder in etc var/lib; do
	mkdir -p /run/node/$folder /run/overlay/$folder
	mount -t overlay overlay -o lowerdir=/$folder,upperdir=/run/node/$folder,workdir=/run/overlay/$folder /$folder
done
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
	mkdir -p /run/node/sys/${setting%/*}
	cat /proc/sys/$setting > /run/node/sys/$setting
	mount --bind /run/node/sys/$setting /proc/sys/$setting
done
mount --make-rshared /
mkdir -p /etc/containerd /run/cni
rm -f /etc/resolv.conf
echo the node is there
exec sleep infinity
