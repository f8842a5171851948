"""Errors, and what the command line makes of them.

    AftertuneError
    ├── UserError            the user can mend it: one sentence, exit code 2, no traceback
    │   ├── InputError       rows, prompts or responses that cannot be used
    │   ├── ConfigError      an option or a config file
    │   ├── ModelError       a checkpoint, adapter or tokenizer
    │   │   └── VocabularyError   one token id means two different strings
    │   ├── TemplateError    rendering or its self-test
    │   ├── ArtefactError    an artefact folder
    │   │   └── DamagedPart  a file that is not what its manifest says
    │   └── ProcessesError   (parallel.py) processes of one run that do not fit together
    └── InternalError        our fault: a traceback is wanted

A message of a UserError is one sentence that says what is wrong and what to do.
"""


class AftertuneError(Exception):
    """Root of everything that this package raises on purpose."""


class UserError(AftertuneError):
    """Something that the user can mend; shown without a traceback, exit code 2."""


class InputError(UserError):
    """Rows, prompts or responses that cannot be used."""


class ConfigError(UserError):
    """An option or a config file that cannot be used."""


class ModelError(UserError):
    """A checkpoint, adapter or tokenizer that cannot be used."""


class VocabularyError(ModelError):
    """Two tokenizers give one id to two different strings."""


class TemplateError(UserError):
    """A template that cannot render, or whose rendered rows would train the wrong tokens."""


class ArtefactError(UserError):
    """An artefact folder that cannot be read or written."""


class DamagedPart(ArtefactError):  # noqa: N818 - named for what was found
    """A file of an artefact that is not what its manifest says."""


class InternalError(AftertuneError):
    """A broken promise between our own modules."""
