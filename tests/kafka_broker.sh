#!/usr/bin/env bash
# Fetches a Kafka broker and its tools from Maven Central into a cache directory outside the checkout, and prints the
# directory of the JAR files. Does nothing if it exists. Needs Maven otherwise.
set -euo pipefail

version=4.3.1
out=${KIPFIX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kipfix}/kafka-$version
mkdir -p "$out"
# Concurrent callers wait.
exec 9>"$out/.lock"
flock 9
if [ ! -e "$out/libs" ]; then
    if ! command -v mvn >/dev/null; then
        echo "maven is not here to fetch Kafka $version" >&2
        exit 1
    fi
    work=$(mktemp -d "$out/.fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cat >"$work/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>kipfix</groupId><artifactId>kafka-broker</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$version</version></dependency>
  </dependencies>
</project>
POM
    mvn -B -q -f "$work/pom.xml" dependency:copy-dependencies -DoutputDirectory="$work/libs" -DincludeScope=runtime >&2
    # It is moved when it is complete.
    mv "$work/libs" "$out/libs"
fi
echo "$out/libs"
