"""Does a chess network look ahead, or choose its first move without the later ones?"""
