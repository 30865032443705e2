"""The examination of an installation: the commonest mistakes, each with its fix. It changes nothing, pages nobody."""
