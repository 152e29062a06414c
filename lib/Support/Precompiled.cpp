// Gives the precompiled header of Precompiled.h a library to live in; holds no code.
