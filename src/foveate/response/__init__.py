"""Where does class c look?"""
