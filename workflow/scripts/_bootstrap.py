"""Load the package that lies beside this workflow, and nothing of the launcher's.

Imported first by every adapter (and by the Snakefile). A job inherits the launcher's ``sys.path``:
its site-packages would hide a package that the rule's environment lacks, and a stale installed copy
of cordcohort could win over the checkout. So foreign site-packages are dropped, and the package is
loaded from its folder, without a new entry on the path.
"""

import importlib.util
import sys
import sysconfig
from pathlib import Path

_here = Path(__file__).resolve().parent
_root = next(
    p for p in (_here.parent / "lib" / "cordcohort", *_here.parents) if (p / "py.typed").is_file()
)

if "snakemake.workflow" not in sys.modules:  # a job, not the parse of the Snakefile
    _own = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    sys.path[:] = [p for p in dict.fromkeys(sys.path) if "site-packages" not in p or p in _own]

_loaded = sys.modules.get("cordcohort")
if _loaded is None or Path(str(_loaded.__file__)).resolve().parent != _root:
    for _name in [n for n in sys.modules if n == "cordcohort" or n.startswith("cordcohort.")]:
        del sys.modules[_name]
    _spec = importlib.util.spec_from_file_location(
        "cordcohort", _root / "__init__.py", submodule_search_locations=[str(_root)]
    )
    _module = importlib.util.module_from_spec(_spec)
    sys.modules["cordcohort"] = _module
    _spec.loader.exec_module(_module)
