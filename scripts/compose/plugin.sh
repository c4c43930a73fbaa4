#!/usr/bin/env bash
# Gives the docker client its compose v2, where it has none: from Debian's packages. Needs apt, and no root.
#
#   scripts/compose/plugin.sh
#
# Debian 12 has only version 1; the program of Debian 13 needs nothing but a libc that 12 has too. So its package is
# unpacked and not installed. Lists of the other release are kept apart: the machine's own know nothing of it.
set -euo pipefail

if docker compose version >/dev/null 2>&1; then exit; fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial" "$folder/empty"

# From wherever this machine gets its packages.
site=$(apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Component: main" | grep -m1 '/debian/$')
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keys] ${site%/} trixie main" >"$folder/sources.list"
options=(
  -o "Dir::Etc::sourcelist=$folder/sources.list" -o "Dir::Etc::sourceparts=$folder/empty"
  -o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o "APT::Sandbox::User="
)
apt-get "${options[@]}" update -qq
(cd "$folder" && apt-get "${options[@]}" download -qq docker-compose/trixie)
dpkg -x "$folder"/docker-compose_*.deb "$folder/unpacked"

plugins=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins
mkdir -p "$plugins"
install -m 755 "$(find "$folder/unpacked" -type f -name docker-compose -perm -u+x | head -1)" "$plugins/docker-compose"
docker compose version
