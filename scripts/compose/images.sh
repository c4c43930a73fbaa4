#!/usr/bin/env bash
# The images that compose.yaml names, made here, for machines that reach Debian's packages and a package index and no
# container registry. Needs root, a docker engine, debootstrap, busybox-static, redis-server and this project's .venv.
#
#   eval "$(scripts/compose/images.sh)"      # prints PYTHON_IMAGE=… NATS_IMAGE=… REDIS_IMAGE=… to be exported
#
# What is there already is not made again: remove an image, or build/wheelhouse/, to have it anew.
set -euo pipefail
cd "$(dirname "$0")/../.."

python_image=nanolattice-test/python:3.11 nats_image=nanolattice-test/nats redis_image=nanolattice-test/redis
say() { echo "$*" >&2; }
missing() { ! docker image inspect "$1" >/dev/null 2>&1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# A file system of busybox and one server, with the libraries that the server is linked with.
small_root() {
  local root=$1 server=$2
  mkdir -p "$root"/{bin,tmp,data,etc,var/lib/nats,usr/local/bin}
  chmod 1777 "$root/tmp"
  cp "$(command -v busybox)" "$root/bin/busybox"
  for name in sh cat ls mkdir rm sleep wget nc id; do ln -s busybox "$root/bin/$name"; done
  echo "root:x:0:0:root:/:/bin/sh" >"$root/etc/passwd"
  cp "$server" "$root/usr/local/bin/"
  { ldd "$server" 2>/dev/null || true; } | { grep -oE '/[^ ]+' || true; } | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
}

if missing "$python_image"; then
  say "making $python_image"
  site=$(apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Component: main" | grep -m1 '/debian/$')
  debootstrap --variant=minbase --include=python3,python3-venv bookworm "$folder/python" "${site%/}" >&2
  # Nothing of how this machine gets its packages stays in the image.
  rm -rf "$folder"/python/etc/apt/{sources.list,sources.list.d/*,apt.conf.d/*proxy*} \
    "$folder"/python/var/{lib/apt/lists,cache/apt/archives,log}/* "$folder"/python/{debootstrap,usr/share/doc} \
    "$folder"/python/usr/share/locale "$folder"/python/etc/resolv.conf
  tar -C "$folder/python" --one-file-system -c . | docker import -c 'CMD ["python3"]' - "$python_image" >&2
fi

if missing "$nats_image"; then
  say "making $nats_image"
  small_root "$folder/nats" "$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("scripts"))')/nats-server"
  tar -C "$folder/nats" -c . | docker import -c 'ENV PATH=/usr/local/bin:/bin' -c 'CMD ["nats-server"]' - "$nats_image" >&2
fi

if missing "$redis_image"; then
  say "making $redis_image"
  small_root "$folder/redis" "$(command -v redis-server)"
  cp "$(command -v redis-cli)" "$folder/redis/usr/local/bin/"
  tar -C "$folder/redis" -c . | docker import -c 'ENV PATH=/usr/local/bin:/bin' -c 'WORKDIR /data' \
    -c 'EXPOSE 6379' -c 'CMD ["redis-server", "--protected-mode", "no"]' - "$redis_image" >&2
fi

if ! [ -d build/wheelhouse ]; then
  say "making build/wheelhouse/"
  # As locked, what builds the project's own wheel, and what redis wants of Python before 3.11.3, which Debian 12 has.
  sed -nE 's/^([a-z0-9._-]+)(\[[^]]*\])?(==[^ ;\\]+).*/\1\3/p' requirements.lock >"$folder/constraints.txt"
  .venv/bin/python -m pip wheel -q --disable-pip-version-check -w "$folder/wheels" \
    -c "$folder/constraints.txt" hatchling async-timeout ".[all]" >&2
  rm -f "$folder"/wheels/nanolattice-*
  mkdir -p build
  cp -r "$folder/wheels" build/wheelhouse
fi

echo "export PYTHON_IMAGE=$python_image NATS_IMAGE=$nats_image REDIS_IMAGE=$redis_image"
