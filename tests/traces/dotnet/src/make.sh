#!/bin/bash
# Makes the .NET traces again. Needs mcs (mono-mcs) and a .NET Core 3.1 runtime, whose directory is the argument.
set -u
here=$(cd "$(dirname "$0")" && pwd); out=$(cd "$here/.." && pwd); dotnet=$1; runtime=$(echo "$dotnet"/shared/Microsoft.NETCore.App/*)
mkdir -p /src/Shop; cp "$here/Shop.cs" /src/Shop; cd /src/Shop
references=$(cd "$runtime"; for name in System.Private.CoreLib System.Runtime System.Console System.Linq System.Collections System.Threading System.Threading.Tasks System.Threading.Thread netstandard; do echo -n "-r:$runtime/$name.dll "; done)
mcs -nostdlib -noconfig -debug $references -out:Shop.dll /src/Shop/Shop.cs || exit 1
echo "{\"runtimeOptions\":{\"framework\":{\"name\":\"Microsoft.NETCore.App\",\"version\":\"$(basename "$runtime")\"}}}" > Shop.runtimeconfig.json
export DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 COMPlus_DbgEnableMiniDump=0
for name in wrapped async aggregate logged linq thread nested; do "$dotnet/dotnet" exec Shop.dll $name > "$out/$name.txt" 2>&1; done
rm -rf /src/Shop
